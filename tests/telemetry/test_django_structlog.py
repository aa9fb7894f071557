"""django-structlog's middleware beside ours: its records and ours, or both in one."""

from __future__ import annotations

import re
from typing import Any

import pytest
import structlog
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from django_structlog.signals import bind_extra_request_finished_metadata

from tests.conftest import Lines, Sample

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _both(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django_structlog.middlewares.RequestMiddleware"]


def by_logger(lines: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found.setdefault(line["logger"], []).append(line)
    return found


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_its_lines_have_the_ids_of_our_one_line(log_lines: Lines, kind: str) -> None:
    if kind == "sync":
        response = Client().get("/hello/")
    else:
        response = async_to_sync(AsyncClient().get)("/async/7/")

    lines = by_logger(log_lines())
    (ours,) = lines["telemetry.request"]
    theirs = lines["django_structlog.middlewares.request"]
    assert [line["message"] for line in theirs] == ["request_started", "request_finished"]
    assert (ours["status"], theirs[-1]["code"]) == (200, 200)
    ids = {(line["correlation_id"], line["trace_id"]) for line in [ours, *theirs]}
    assert ids == {(response["X-Correlation-ID"], ours["trace_id"])}


def test_its_context_is_on_the_lines_of_the_view(log_lines: Lines) -> None:
    Client().get("/hello/")

    lines = by_logger(log_lines())
    (inside,) = lines["tests.site"]
    assert inside["request_id"] == lines["django_structlog.middlewares.request"][0]["request_id"]


@pytest.mark.parametrize("path", ["/fail/", "/fail-async/"])
def test_an_exception_is_an_error_of_ours_once(log_lines: Lines, sample: Sample, path: str) -> None:
    labels = {"type": "RuntimeError", "endpoint": path}
    before = sample("errors_total", **labels)

    Client(raise_request_exception=False).get(path)

    assert sample("errors_total", **labels) == before + 1
    lines = by_logger(log_lines())
    (ours,) = lines["telemetry.request"]
    assert (ours["status"], ours["exception"]["message"]) == (500, "it broke")
    assert [line["message"] for line in lines["django_structlog.middlewares.request"]] == [
        "request_started",
        "request_failed",
    ]


def test_nothing_of_one_request_is_left_for_the_next(log_lines: Lines) -> None:
    Client().get("/hello/")
    Client().get("/hello/")

    first, second = by_logger(log_lines())["tests.site"]
    assert first["request_id"] != second["request_id"]


@pytest.fixture
def _merged(settings: Any) -> None:
    settings.TELEMETRY = {**settings.TELEMETRY, "MERGE_DJANGO_STRUCTLOG": True}


def records_of_middlewares(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {"telemetry.request", "django_structlog.middlewares.request"}
    return [line for line in lines if line["logger"] in names]


@pytest.mark.usefixtures("_merged")
@pytest.mark.parametrize("path", ["/hello/", "/missing/", "/nowhere/", "/fail/", "/stream/"])
def test_merged_a_request_has_one_record_with_what_both_know(log_lines: Lines, path: str) -> None:
    response = Client(raise_request_exception=False, headers={"User-Agent": "merging/1"}).get(path)
    b"".join(response)
    response.close()

    (record,) = records_of_middlewares(log_lines())
    assert record["logger"] == "telemetry.request"
    assert (record["status"], record["path"]) == (response.status_code, path)
    assert record["user_agent"] == "merging/1"
    assert re.fullmatch(r"[0-9a-f-]{36}", record["request_id"])
    assert ("exception" in record) == (path == "/fail/")


@pytest.mark.usefixtures("_merged")
@pytest.mark.parametrize("path", ["/async/7/", "/fail-async/"])
def test_merged_an_async_request_has_one_record(log_lines: Lines, path: str) -> None:
    async_to_sync(AsyncClient(raise_request_exception=False).get)(path)

    (record,) = records_of_middlewares(log_lines())
    assert record["logger"] == "telemetry.request"
    assert record["request_id"]


@pytest.mark.usefixtures("_merged")
def test_merged_metadata_of_a_signal_is_on_the_record_and_masked(log_lines: Lines) -> None:
    def add(log_kwargs: dict[str, Any], **_signal: Any) -> None:
        log_kwargs.update(tenant="north", password="hunter2", status=7)

    bind_extra_request_finished_metadata.connect(add)
    try:
        Client().get("/hello/")
    finally:
        bind_extra_request_finished_metadata.disconnect(add)

    (record,) = records_of_middlewares(log_lines())
    assert record["tenant"] == "north"
    assert record["status"] == 200
    assert "hunter2" not in str(record)


@pytest.mark.usefixtures("_merged")
def test_merged_records_outside_of_a_request_are_written(log_lines: Lines) -> None:
    structlog.get_logger("django_structlog.middlewares.request").warning("request_started")

    assert [line["message"] for line in records_of_middlewares(log_lines())] == ["request_started"]
