"""Sentry beside telemetry: one event of each exception, with a message that people can read."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
import sentry_sdk
from asgiref.sync import async_to_sync
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.test import AsyncClient, Client
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

import telemetry
from testing.servers import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.telemetry.site.urls")]


class Kept(Transport):
    """Sentry's edge: what would be sent to its server."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events += [item.payload.json for item in envelope.items if item.type == "event"]


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What Sentry gets, with the integrations that a Django project has by default."""
    with sentry_sdk.isolation_scope():
        sentry_sdk.init(
            dsn="https://key@sentry.invalid/1",
            transport=Kept,
            integrations=[DjangoIntegration(), LoggingIntegration()],
        )
        kept = sentry_sdk.get_client().transport
        assert isinstance(kept, Kept)
        yield kept.events
        sentry_sdk.get_client().close()
        sentry_sdk.init()


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["exception"]["values"][-1]["type"] for event in events if "exception" in event]


def test_an_exception_of_a_view_is_one_event(events: list[dict[str, Any]]) -> None:
    Client(raise_request_exception=False).get("/fail/")

    (event,) = events
    assert types(events) == ["RuntimeError"]
    assert event["exception"]["values"][-1]["value"] == "it broke"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "type_"), [("/fail/", "RuntimeError"), ("/unavailable/", "")])
def test_a_failure_in_a_wsgi_application_is_one_event(
    events: list[dict[str, Any]], path: str, type_: str
) -> None:
    """Sentry's own wrapper around the application is there as well."""
    environment: dict[str, Any] = {"PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1"}
    setup_testing_defaults(environment)

    answer = WSGIHandler()(environment, lambda *_arguments: None)
    b"".join(answer)
    answer.close()

    assert len(events) == 1
    assert types(events) == [type_] * bool(type_)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/fail/", "/fail-async/"])
def test_an_exception_under_asgi_is_one_event(events: list[dict[str, Any]], path: str) -> None:
    async_to_sync(AsyncClient(raise_request_exception=False).get)(path)

    assert len(events) == 1
    assert types(events) == ["RuntimeError"]


def test_each_of_two_exceptions_is_one_event(events: list[dict[str, Any]]) -> None:
    for _ in range(2):
        Client(raise_request_exception=False).get("/fail/")

    assert types(events) == ["RuntimeError", "RuntimeError"]
    assert len(events) == 2


def test_a_stream_that_breaks_is_one_event(events: list[dict[str, Any]]) -> None:
    with pytest.raises(RuntimeError, match="in the middle"):
        b"".join(Client().get("/stream-fails/"))

    assert types(events) == ["RuntimeError"]
    assert len(events) == 1


def test_an_answer_of_503_is_one_event_with_a_readable_message(
    events: list[dict[str, Any]],
) -> None:
    Client().get("/unavailable/")

    (event,) = events
    assert event["logger"] == "telemetry.request"
    assert event["logentry"]["message"] == "GET /unavailable/ 503"
    assert event["logentry"]["formatted"] == "GET /unavailable/ 503"


def test_an_error_that_code_logs_and_raises_is_one_event(events: list[dict[str, Any]]) -> None:
    log = telemetry.get_logger("shop")

    @telemetry.traced("settle")
    def settle() -> None:
        try:
            int("none")
        except ValueError:
            log.exception("cannot settle", order=7, password="hunter2")
            raise

    with pytest.raises(ValueError, match="none"):
        settle()

    (event,) = events
    assert types(events) == ["ValueError"]
    assert event["logentry"]["message"] == "cannot settle"
    assert event["logger"] == "shop"


def test_a_command_that_fails_is_one_event(events: list[dict[str, Any]]) -> None:
    class Command(BaseCommand):
        def handle(self, *args: object, **options: object) -> None:
            raise LookupError("no such file")

    with pytest.raises(LookupError):
        call_command(Command())

    (event,) = events
    assert types(events) == ["LookupError"]
    assert event["logentry"]["message"].startswith("manage.py")


def test_records_of_all_kinds_have_readable_messages(events: list[dict[str, Any]]) -> None:
    telemetry.get_logger("shop").error("paid %d of %s", 3, "four", order=7)
    telemetry.get_logger("shop").error("token=abc123 refused")
    logging.getLogger("shop").error("plain %s", "record")

    messages = [event["logentry"]["formatted"] for event in events]
    assert messages == ["paid 3 of four", "token=*** refused", "plain record"]


def test_breadcrumbs_have_readable_messages(events: list[dict[str, Any]]) -> None:
    telemetry.get_logger("shop").warning("nearly empty", rows=3)
    telemetry.get_logger("shop").error("empty")

    (event,) = events
    assert event["breadcrumbs"]["values"][-1]["message"] == "nearly empty"


SCRIPT = """
import json, sys, threading
import django
import sentry_sdk
from sentry_sdk.transport import Transport

class Printing(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            if item.type == "event":
                print(json.dumps(item.payload.json), flush=True)

sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Printing)
django.setup()
import telemetry

@telemetry.traced("settle")
def settle():
    raise LookupError("no rows")

if sys.argv[1] == "thread":
    thread = threading.Thread(target=settle)
    thread.start()
    thread.join()
else:
    settle()
"""


@pytest.mark.parametrize("where", ["thread", "process"])
def test_an_exception_that_ends_its_thread_or_process_is_one_event(where: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, where],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "none",
            "PROMETHEUS_PORT": "0",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert types(events) == ["LookupError"], done.stderr
    assert len(events) == 1
