"""Users, requests and responses unlike Django's: none may lose an answer, and each is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from telemetry.middleware import TelemetryMiddleware
from tests.conftest import Lines, Sample, Spans

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


class User:
    """A user of no model, as token authentication makes them."""

    is_authenticated = True
    is_staff = False
    pk: Any = 7


class Raises:
    def __get__(self, _user: object, _owner: object = None) -> Any:
        raise RuntimeError("the directory service is away")


class Queries:
    def __get__(self, _user: object, _owner: object = None) -> Any:
        return get_user_model().objects.exists()


class RaisesForAll:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Falsy(User):
    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    def __len__(self) -> int:
        raise RuntimeError("no length")


def user_with(**attributes: Any) -> Any:
    return type("HostileUser", (User,), attributes)()


USERS: dict[str, Callable[[], Any]] = {
    "is_staff raises": lambda: user_with(is_staff=Raises()),
    "is_staff runs a query": lambda: user_with(is_staff=Queries()),
    "is_authenticated raises": lambda: user_with(is_authenticated=Raises()),
    "is_authenticated runs a query": lambda: user_with(is_authenticated=Queries()),
    "pk raises": lambda: user_with(pk=Raises()),
    "pk runs a query": lambda: user_with(pk=Queries()),
    "everything raises": RaisesForAll,
}


class NoContent(HttpResponse):
    @property
    def content(self) -> bytes:
        raise RuntimeError("rendered elsewhere")

    @content.setter
    def content(self, value: object) -> None:
        self._container = [b"elsewhere"]


class NoHeaders(HttpResponse):
    def __init__(self) -> None:
        super().__init__(b"bare")
        self.headers = SimpleNamespace(items=list)  # type: ignore[assignment]


class NoStatus(HttpResponse):
    status_code = property(Raises().__get__, lambda *_value: None)  # type: ignore[assignment]


class OddStream(StreamingHttpResponse):
    """A body that is not Django's."""

    @property
    def streaming_content(self) -> Any:
        raise RuntimeError("it flows another way")

    @streaming_content.setter
    def streaming_content(self, value: object) -> None:
        self._iterator = iter([b"odd"])

    def __iter__(self) -> Iterator[bytes]:
        return self._iterator


def named_status() -> HttpResponse:
    response = HttpResponse(b"teapot")
    response.status_code = HTTPStatus.IM_A_TEAPOT
    return response


RESPONSES: dict[str, tuple[Callable[[], HttpResponseBase], int]] = {
    "content raises": (NoContent, 200),
    "headers of another kind": (NoHeaders, 200),
    "status raises": (NoStatus, 500),
    "status of an enum": (named_status, 418),
    "another kind of stream": (OddStream, 200),
}


def view(request: HttpRequest, kind: str) -> HttpResponseBase:
    if kind in USERS:
        request.user = USERS[kind]()
        return HttpResponse(b"done")
    return RESPONSES[kind][0]()


async def view_async(request: HttpRequest, kind: str) -> HttpResponseBase:
    return view(request, kind)


urlpatterns = [path("sync/<str:kind>/", view), path("async/<str:kind>/", view_async)]


def get(path: str, asynchronous: bool) -> Any:
    if asynchronous:
        return asyncio.run(AsyncClient().get(path))  # type: ignore[arg-type]
    return Client().get(path)


@pytest.mark.parametrize("endpoint", ["sync", "async"])
@pytest.mark.parametrize("kind", USERS)
def test_no_user_costs_an_answer(
    kind: str, endpoint: str, sample: Sample, spans: Spans, log_lines: Lines
) -> None:
    labels = {"method": "GET", "endpoint": f"/{endpoint}/{{kind}}/", "status": "200"}
    before = sample("http_requests_total", **labels)

    response = get(f"/{endpoint}/{kind}/", endpoint == "async")

    assert (response.status_code, response.content) == (200, b"done")
    assert response["X-Correlation-ID"]
    assert sample("http_requests_total", **labels) == before + 1
    assert sample("http_requests_in_progress", method="GET") == 0
    assert [span.name for span in spans()] == [f"GET /{endpoint}/{{kind}}/"]
    line, problem = log_lines()
    assert (line["logger"], line["status"], line["user_id"]) == ("telemetry.request", 200, None)
    assert (problem["level"], problem["logger"]) == ("error", "telemetry.seen")
    assert line["db_queries"] == 0


def test_a_user_that_is_neither_true_nor_false_is_a_user(log_lines: Lines) -> None:
    request = RequestFactory().get("/")

    def answers(request: HttpRequest) -> HttpResponse:
        request._cached_user = Falsy()  # type: ignore[attr-defined]
        return HttpResponse()

    TelemetryMiddleware(answers)(request)

    (line,) = log_lines()
    assert line["user_id"] == 7


@pytest.mark.parametrize("endpoint", ["sync", "async"])
@pytest.mark.parametrize("kind", RESPONSES)
def test_no_response_costs_itself(
    kind: str, endpoint: str, sample: Sample, spans: Spans, log_lines: Lines
) -> None:
    status = RESPONSES[kind][1]
    labels = {"method": "GET", "endpoint": "unmatched", "status": str(status)}
    before = sample("http_requests_total", **labels)
    request = RequestFactory().get("/")
    made = RESPONSES[kind][0]()

    async def answers_async(_request: HttpRequest) -> HttpResponseBase:
        return made

    if endpoint == "async":

        async def serve() -> Any:
            return await TelemetryMiddleware(answers_async)(request)  # type: ignore[arg-type, misc]

        answer = asyncio.run(serve())
    else:
        answer = TelemetryMiddleware(lambda _request: made)(request)

    assert answer is made
    assert sample("http_requests_total", **labels) == before + 1
    assert sample("http_requests_in_progress", method="GET") == 0
    assert len(spans()) == 1
    lines = log_lines()
    assert [line["status"] for line in lines if line["logger"] == "telemetry.request"] == [status]
    assert len(lines) <= 2


class Hostile(HttpRequest):
    """A request of which an attribute cannot be read."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.method, self.path, self.path_info = "GET", "/", "/"
        self.META = {"REMOTE_ADDR": "10.0.0.1"}
        self._hostile = name

    def __getattribute__(self, name: str) -> Any:
        if name == "_hostile" or name != self._hostile:
            return super().__getattribute__(name)
        raise RuntimeError(name)


@pytest.mark.parametrize("name", ["method", "META", "path", "path_info", "resolver_match"])
def test_no_attribute_costs_the_request(name: str, sample: Sample, log_lines: Lines) -> None:
    method = "OTHER" if name == "method" else "GET"
    labels = {"method": method, "endpoint": "unmatched", "status": "200"}
    before = sample("http_requests_total", **labels)

    answer = TelemetryMiddleware(lambda _request: HttpResponse(b"done"))(Hostile(name))

    assert answer.content == b"done"  # type: ignore[union-attr]
    assert sample("http_requests_total", **labels) == before + 1
    assert sample("http_requests_in_progress", method=method) == 0
    problems = [line for line in log_lines() if line["logger"] == "telemetry.seen"]
    assert len(problems) == 1


@pytest.mark.parametrize("value", [None, 5, b"bytes", [], {}, object(), "\ud800", "x" * 100_000])
@pytest.mark.parametrize(
    "name",
    [
        *("HTTP_X_CORRELATION_ID", "HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_X_FORWARDED_FOR"),
        *("REMOTE_ADDR", "QUERY_STRING", "HTTP_USER_AGENT", "SERVER_PORT", "SERVER_NAME"),
        *("SERVER_PROTOCOL", "wsgi.url_scheme"),
    ],
)
def test_no_value_of_meta_costs_the_request(
    name: str, value: Any, sample: Sample, spans: Spans, log_lines: Lines
) -> None:
    labels = {"method": "GET", "endpoint": "unmatched", "status": "200"}
    before = sample("http_requests_total", **labels)
    request = RequestFactory().get("/", headers={"traceparent": "00-" + "1" * 32})
    request.META[name] = value

    answer = TelemetryMiddleware(lambda _request: HttpResponse(b"done"))(request)

    assert answer.content == b"done"  # type: ignore[union-attr]
    assert answer["X-Correlation-ID"]  # type: ignore[index]
    assert sample("http_requests_total", **labels) == before + 1
    assert sample("http_requests_in_progress", method="GET") == 0
    assert [span.name for span in spans()] == ["GET"]
    assert len(log_lines()) <= 2


class Unreadable:
    """An SQL object of a driver that needs a connection to show itself, as psycopg2's does."""

    def as_string(self, _context: object) -> str:
        raise TypeError("argument 2 must be a connection or a cursor")

    def __str__(self) -> str:
        raise TypeError("no text")


def test_no_sql_object_costs_its_statement(sample: Sample) -> None:
    labels = {"operation": "OTHER", "table": "none"}
    before = sample("database_queries_total", **labels)

    def runs_it(_execute: object, sql: Any, *_rest: Any) -> str:
        assert isinstance(sql, Unreadable)
        return "ran"

    with connection.execute_wrapper(runs_it), connection.cursor() as cursor:
        assert cursor.execute(Unreadable()) == "ran"  # type: ignore[arg-type]

    assert sample("database_queries_total", **labels) == before + 1
