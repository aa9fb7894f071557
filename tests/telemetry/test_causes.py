"""Which exception a failure is attributed to: the one that caused it, none that code caught."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from opentelemetry.trace import StatusCode
from rest_framework.exceptions import APIException
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

import telemetry
from telemetry.metrics import exposition
from tests.conftest import Lines, Spans, samples

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


def fail_in_the_database() -> None:
    """An OperationalError of the database itself."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        cursor.execute("SELECT pg_sleep(5)")


def fail_asynchronously() -> None:
    raise OperationalError("caught")


def caught() -> None:
    """Fail in the database, catch it, and go on."""
    try:
        fail_in_the_database()
    except OperationalError:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")


def recovers(_request: HttpRequest) -> HttpResponse:
    caught()
    return HttpResponse(b"done")


def answers_500(_request: HttpRequest) -> HttpResponse:
    caught()
    return HttpResponse(status=500)


def answers_500_in_pieces(_request: HttpRequest) -> HttpResponseBase:
    caught()
    return StreamingHttpResponse(iter([b"it ", b"failed"]), status=500)


def fails_otherwise(_request: HttpRequest) -> HttpResponse:
    caught()
    raise LookupError("the cause")


def fails_in_the_database(_request: HttpRequest) -> HttpResponse:
    fail_in_the_database()
    raise AssertionError


def stream_recovers(_request: HttpRequest) -> HttpResponseBase:
    def pieces() -> Iterator[bytes]:
        caught()
        yield b"done"

    return StreamingHttpResponse(pieces())


def stream_fails(_request: HttpRequest) -> HttpResponseBase:
    def pieces() -> Iterator[bytes]:
        caught()
        yield b"half"
        raise LookupError("the cause")

    return StreamingHttpResponse(pieces())


async def stream_fails_async(_request: HttpRequest) -> HttpResponseBase:
    async def pieces() -> AsyncIterator[bytes]:
        with suppress(OperationalError):
            fail_asynchronously()
        yield b"half"
        raise LookupError("the cause")

    return StreamingHttpResponse(pieces())


async def fails_otherwise_async(_request: HttpRequest) -> HttpResponse:
    with suppress(OperationalError):
        fail_asynchronously()
    raise LookupError("the cause")


class DirectoryAway(APIException):
    status_code = 503


class RestView(APIView):
    """What DRF's handler of exceptions makes of each kind."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, _request: Any, kind: str) -> Response:
        caught()
        if kind == "api":
            raise DirectoryAway("the directory is away")
        if kind == "custom":
            raise KeyError("cause")
        if kind == "status":
            return Response(status=500)
        raise LookupError("the cause")

    def get_exception_handler(self) -> Callable[..., Response | None]:
        def handle(error: Exception, context: Any) -> Response | None:
            if isinstance(error, KeyError):
                return Response({"detail": "not today"}, status=500)
            return exception_handler(error, context)

        return handle


class OwnHandlerView(RestView):
    """A view that answers exceptions itself, without DRF's method."""

    def handle_exception(self, exc: Exception) -> Response:
        response = Response({"detail": "not today"}, status=503)
        response.exception = True
        return response


def answers_for_the_view(get_response: Any) -> Any:
    """A middleware whose ``process_exception`` answers."""

    class Middleware:
        def __call__(self, request: HttpRequest) -> Any:
            return get_response(request)

        def process_exception(self, request: HttpRequest, _error: Exception) -> Any:
            found = request.GET.get("answer")
            return HttpResponse(status=int(found)) if found else None

    return Middleware()


urlpatterns = [
    path("recovers/", recovers),
    path("answers-500/", answers_500),
    path("answers-500-in-pieces/", answers_500_in_pieces),
    path("fails-otherwise/", fails_otherwise),
    path("fails-otherwise-async/", fails_otherwise_async),
    path("fails-in-the-database/", fails_in_the_database),
    path("stream-recovers/", stream_recovers),
    path("stream-fails/", stream_fails),
    path("stream-fails-async/", stream_fails_async),
    path("rest/<str:kind>/", RestView.as_view()),
    path("rest-own/<str:kind>/", OwnHandlerView.as_view()),
]

MIDDLEWARE = ["telemetry.middleware.TelemetryMiddleware", f"{__name__}.answers_for_the_view"]

#: Path → status and type of the error.
CAUSES = {
    "/recovers/": (200, None),
    "/answers-500/": (500, "http_5xx"),
    "/answers-500-in-pieces/": (500, "http_5xx"),
    "/fails-otherwise/": (500, "LookupError"),
    "/fails-otherwise-async/": (500, "LookupError"),
    "/fails-in-the-database/": (500, "OperationalError"),
    "/stream-recovers/": (200, None),
    "/stream-fails/": (500, "LookupError"),
    "/rest/api/": (503, "DirectoryAway"),
    "/rest/custom/": (500, "KeyError"),
    "/rest/status/": (500, "http_5xx"),
    "/rest/other/": (500, "LookupError"),
    "/rest-own/other/": (503, "LookupError"),
    "/rest-own/status/": (500, "http_5xx"),
    "/fails-otherwise/?answer=503": (503, "LookupError"),
    "/fails-otherwise/?answer=200": (200, None),
}


def errors() -> dict[str, float]:
    """``errors_total`` by type."""
    found: dict[str, float] = {}
    for (name, labels), value in samples(exposition.scrape().body.decode()).items():
        if name == "errors_total":
            kind = dict(labels)["type"]
            found[kind] = found.get(kind, 0.0) + value
    return found


def judge(status: int, kind: str | None, before: dict[str, float], spans: Spans, line: Any) -> None:
    """The metric, the span and the log line say the same."""
    after = errors()
    counted = {
        name: after[name] - before.get(name, 0)
        for name in after
        if after[name] != before.get(name, 0)
    }
    assert counted == ({} if kind is None else {kind: 1})
    assert line["status"] == status
    named = line["exception"]["type"].rpartition(".")[2] if "exception" in line else None
    assert named == (None if kind == "http_5xx" else kind)
    server = spans()[-1]
    assert (server.status.status_code is StatusCode.ERROR) == (kind is not None)
    if kind is not None:
        assert server.attributes["error.type"] == (str(status) if kind == "http_5xx" else kind)


@pytest.mark.parametrize("path", CAUSES)
def test_an_answer_is_attributed_to_its_cause(path: str, spans: Spans, log_lines: Lines) -> None:
    status, kind = CAUSES[path]
    before = errors()

    with override_settings(MIDDLEWARE=MIDDLEWARE):
        response = Client(raise_request_exception=False).get(path)
        if response.streaming:
            with suppress(LookupError):
                b"".join(response)
            response.close()

    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.request"]
    judge(status, kind, before, spans, line)


def test_an_asynchronous_stream_is_attributed_to_its_cause(spans: Spans, log_lines: Lines) -> None:
    before = errors()

    async def read() -> None:
        response: Any = await AsyncClient().get("/stream-fails-async/")
        with pytest.raises(LookupError):
            async for _ in response.streaming_content:
                pass

    asyncio.run(read())

    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.request"]
    judge(500, "LookupError", before, spans, line)


def test_work_that_caught_its_error_did_not_fail(log_lines: Lines, spans: Spans) -> None:
    @telemetry.traced("inner")
    def inner() -> None:
        fail_in_the_database()

    @telemetry.traced("retries inside")
    def retries_inside() -> None:
        with pytest.raises(OperationalError):
            inner()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    @telemetry.traced("retries")
    def retries() -> None:
        caught()

    @telemetry.traced("awaits")
    async def awaits() -> None:
        with suppress(OperationalError):
            fail_asynchronously()
        await asyncio.sleep(0)

    class Command(BaseCommand):
        def handle(self, *args: object, **options: object) -> None:
            caught()

    retries()
    retries_inside()
    asyncio.run(awaits())
    call_command(Command())

    lines = [line for line in log_lines() if line["logger"].startswith("telemetry.")]
    assert [(line["level"], "exception" in line) for line in lines] == [("info", False)] * 4
    failed = [span.name for span in spans() if span.status.status_code is StatusCode.ERROR]
    # The statements that failed, and the traced function that an exception left.
    assert failed == ["SELECT", "SELECT", "inner", "SELECT"]


def test_work_fails_with_the_exception_that_leaves_it(log_lines: Lines, spans: Spans) -> None:
    @telemetry.traced("settle")
    def settle() -> None:
        caught()
        raise LookupError("the cause")

    with pytest.raises(LookupError):
        settle()

    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.work"]
    assert (line["level"], line["exception"]["type"]) == ("error", "LookupError")
    assert spans()[-1].attributes["error.type"] == "LookupError"
