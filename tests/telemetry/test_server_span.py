"""The server span: what a view says of it stays, and what telemetry says is masked and exact."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags

import telemetry
from telemetry.middleware import TelemetryMiddleware
from telemetry.tracing import propagation, span_limit
from telemetry.tracing.light import Fixed, LightSpan
from tests.conftest import Lines, Sample, Spans
from tests.telemetry.wire import Wire, attributes

pytestmark = pytest.mark.django_db

View = Callable[[HttpRequest], HttpResponse]
_view: list[View] = []


def call_view(request: HttpRequest, **_: object) -> HttpResponse:
    return _view[0](request)


urlpatterns = [path("thing/<int:pk>/", call_view)]


@pytest.fixture
def server_span(spans: Spans) -> Iterator[Callable[..., ReadableSpan]]:
    """``server_span(view, method="GET", …)``: the span of a request to it."""

    def ask(view: View, method: str = "GET", query: str = "", **headers: str) -> ReadableSpan:
        _view[:] = [view]
        with override_settings(ROOT_URLCONF=__name__):
            client = Client(raise_request_exception=False)
            client.generic(method, f"/thing/7/{query}", headers=headers)
        return [span for span in spans() if span.kind is SpanKind.SERVER][-1]

    yield ask
    _view.clear()


def current() -> Any:
    return trace.get_current_span()


Ask = Callable[..., ReadableSpan]


def test_a_name_that_the_view_gave_stays(server_span: Ask) -> None:
    for name in ("checkout", "GET", "GET /else/"):

        def view(_request: HttpRequest, name: str = name) -> HttpResponse:
            current().update_name(name)
            return HttpResponse()

        assert server_span(view).name == name

    assert server_span(lambda _request: HttpResponse()).name == "GET /thing/{id}/"


OURS = {
    "http.route": "/mine/",
    "http.request.method": "QUERY",
    "http.response.status_code": 299,
    "url.path": "/hidden/",
    "url.query": "none",
    "url.scheme": "gopher",
    "server.address": "elsewhere",
    "server.port": 1,
    "network.protocol.version": "3",
    "client.address": "anonymous",
    "user_agent.original": "somebody",
    "error.type": "card_declined",
    "correlation_id": "mine",
}


@pytest.mark.parametrize("names", [list(OURS), *([name] for name in OURS)], ids=str)
def test_attributes_that_the_view_set_stay(server_span: Ask, names: list[str]) -> None:
    chosen = {name: OURS[name] for name in names}

    def view(_request: HttpRequest) -> HttpResponse:
        current().set_attributes(chosen)
        return HttpResponse(status=503)

    found = server_span(view, query="?a=b", **{"User-Agent": "test"}).attributes

    assert found is not None
    assert {name: found[name] for name in names} == chosen
    others = OURS.keys() - chosen.keys()
    assert {name for name in others if found.get(name) == OURS[name]} == set()


def test_no_key_comes_twice_on_the_wire(wire: Wire) -> None:
    span = wire.tracer.start("GET", SpanKind.SERVER, None)
    span.correlation_id = "ours"
    span.set_attribute("correlation_id", "mine")
    span.end()

    assert attributes(wire.spans()["GET"]) == {"correlation_id": "mine"}


def test_a_status_that_the_view_set_stays(server_span: Ask) -> None:
    def declined(_request: HttpRequest) -> HttpResponse:
        current().set_status(StatusCode.ERROR, "card declined")
        raise RuntimeError("broken")

    def fine(_request: HttpRequest) -> HttpResponse:
        current().set_status(StatusCode.OK)
        return HttpResponse(status=503)

    assert server_span(declined).status.description == "card declined"
    assert server_span(fine).status.status_code is StatusCode.OK


def test_an_exception_that_the_view_recorded_is_not_told_again(server_span: Ask) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        try:
            _ = {}["absent"]
        except KeyError as error:
            current().record_exception(error, {"attempt": 3})
            raise
        return HttpResponse()

    (event,) = server_span(view).events
    assert event.attributes is not None
    assert event.attributes["attempt"] == 3


def test_the_exception_event_has_the_stack_and_no_values(server_span: Ask) -> None:
    def inner(password: str) -> None:
        local = password * 2  # noqa: F841
        raise LookupError("token=abc123 is unknown")

    def view(_request: HttpRequest) -> HttpResponse:
        try:
            inner(chr(110) * 5)
        except LookupError as error:
            raise ValueError("cannot be served\nDETAIL: Key (id)=(777) exists") from error
        return HttpResponse()

    span = server_span(view)

    (event,) = span.events
    found = dict(event.attributes or {})
    assert found["exception.type"] == "ValueError"
    assert found["exception.message"] == "cannot be served"
    stack = str(found["exception.stacktrace"])
    assert "LookupError: token=*** is unknown" in stack
    assert "in inner" in stack
    assert "in view" in stack
    assert "direct cause" in stack
    assert stack.rstrip().endswith("ValueError: cannot be served")
    for hidden in ("nnnnn", "abc123", "777"):
        assert hidden not in stack


def test_the_stack_of_an_endless_recursion_is_bounded(wire: Wire) -> None:
    def again(number: int) -> int:
        return again(number + 1) if number % 2 else again(number + 2)

    with pytest.raises(RecursionError), wire.tracer.start_as_current_span("span"):
        again(0)

    (event,) = wire.spans()["span"].events
    stack = attributes(event)["exception.stacktrace"]
    assert len(stack) <= 16_384
    assert "RecursionError: maximum recursion depth exceeded" in stack


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("status", [True, False])
@pytest.mark.parametrize("how", ["start_span", "start_as_current_span"])
def test_recording_and_status_are_independent(
    wire: Wire, record: bool, status: bool, how: str
) -> None:
    begin = getattr(wire.tracer, how)
    with (
        pytest.raises(ValueError, match="empty"),
        begin("span", record_exception=record, set_status_on_exception=status),
    ):
        raise ValueError("empty")

    found = wire.spans()["span"]
    assert [event.name for event in found.events] == (["exception"] if record else [])
    assert found.status.message == ("ValueError: empty" if status else "")


@pytest.mark.parametrize(
    ("method", "name", "attribute", "original"),
    [
        ("GET", "GET /thing/{id}/", "GET", None),
        ("get", "GET /thing/{id}/", "GET", None),
        ("PROPFIND", "HTTP", "_OTHER", "PROPFIND"),
        ("OTHER", "HTTP", "_OTHER", "OTHER"),
        ("X" * 100, "HTTP", "_OTHER", "X" * 40),
        ("TOKEN=abc", "HTTP", "_OTHER", "TOKEN=***"),
    ],
)
def test_methods_on_the_span(
    server_span: Ask, method: str, name: str, attribute: str, original: str | None
) -> None:
    span = server_span(lambda _request: HttpResponse(), method=method)

    assert span.name == name
    assert span.attributes is not None
    assert span.attributes["http.request.method"] == attribute
    assert span.attributes.get("http.request.method_original") == original


@pytest.mark.parametrize(
    ("flags", "own", "passed_on"),
    [
        ("00", None, "00"),
        ("01", 0x01, "01"),
        ("03", 0x03, "03"),
        ("02", None, "02"),
        # What the other bits mean nobody knows yet: they are passed on as zero.
        ("ff", 0x03, "03"),
        ("09", 0x01, "01"),
        ("0a", None, "02"),
    ],
)
def test_the_trace_flags_of_a_caller(
    wire: Wire, flags: str, own: int | None, passed_on: str
) -> None:
    caller = propagation.extract(f"00-{'a' * 32}-{'b' * 16}-{flags}", None)
    assert caller is not None
    headers: dict[str, str] = {}
    with wire.tracer.start_as_current_span(
        "server", trace.set_span_in_context(trace.NonRecordingSpan(caller))
    ) as span:
        child = wire.tracer.start_span("child")
        propagation.inject(child, headers)
        child.end()

    assert headers["traceparent"].rpartition("-")[2] == passed_on
    found = wire.spans()
    assert bool(found) == (own is not None)
    for sent in found.values():
        assert sent.flags & 0xFF == own
    assert span.get_span_context().trace_flags == int(passed_on, 16)


def test_a_trace_of_our_own_says_that_its_id_is_random(wire: Wire) -> None:
    with wire.tracer.start_as_current_span("root"):
        pass

    assert wire.spans()["root"].flags & 0xFF == TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID


def test_statements_have_the_flags_of_their_trace(wire: Wire) -> None:
    """They go another way than spans that are objects."""
    caller = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1))
    root = wire.tracer.start("root", SpanKind.SERVER, trace.NonRecordingSpan(caller))
    statement = wire.tracer.whole("SELECT", SpanKind.CLIENT, root, Fixed({"a": 1}), 1, 2)
    assert isinstance(statement, tuple)
    wire.provider.ended_together([statement])

    assert wire.spans()["SELECT"].flags & 0xFF == 1


def test_bound_secrets_are_masked_on_the_span_as_in_the_log(
    server_span: Ask, log_lines: Lines
) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        telemetry.bind(password="hunter2", api_key="k", order=7)
        telemetry.bind(note="token=abc", nested={"secret": "x", "fine": [1, 2]})  # type: ignore[arg-type]
        telemetry.get_logger("shop").info("bound")
        return HttpResponse()

    found = json.loads(json.dumps(dict(server_span(view).attributes or {})))

    (line,) = [line for line in log_lines() if line["logger"] == "shop"]
    names = ("password", "api_key", "order", "note", "nested")
    assert {name: found[f"app.{name}"] for name in names} == {name: line[name] for name in names}
    assert line["password"] == line["api_key"] == "***"
    assert line["note"] == "token=***"


def test_everything_that_telemetry_writes_is_masked(server_span: Ask, spans: Spans) -> None:
    secret = "hunter2secret"

    def view(_request: HttpRequest) -> HttpResponse:
        with connection.cursor() as cursor:
            for _ in range(12):
                cursor.execute(f"SELECT 1 /* password={secret} */")
        raise ValueError(f"password={secret}")

    _view[:] = [view]
    with override_settings(ROOT_URLCONF=__name__):
        Client(raise_request_exception=False).get(
            f"/thing/7/?password={secret}",
            headers={"User-Agent": f"agent token={secret}", "X-Forwarded-For": f"token={secret}"},
        )
        Client().get(f"/absent/token={secret}/")

    for span in spans():
        shown = [span.name, span.status.description, dict(span.attributes or {})]
        shown += [dict(event.attributes or {}) for event in span.events]
        without_source = str(shown).replace("{secret}", "")
        assert secret not in without_source, shown


def test_a_background_task_keeps_its_spans(
    server_span: Ask, spans: Spans, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[contextvars.Context] = []

    def make_spans(number: int) -> None:
        for _ in range(number):
            telemetry.get_tracer().start_span("work").end()

    def view(_request: HttpRequest) -> HttpResponse:
        tasks.append(contextvars.copy_context())
        make_spans(25)
        return HttpResponse()

    before = sample("telemetry_spans_dropped_total", reason="span_limit")
    project = {**settings.TELEMETRY, "SPANS_PER_TRACE": 20}
    with override_settings(TELEMETRY=project):
        server_span(view)
        in_request = [span for span in spans() if span.name == "work"]
        tasks[0].run(make_spans, 25)
        after_request = [span for span in spans() if span.name == "work"]
        monkeypatch.setattr(span_limit.time, "monotonic", lambda: 1e12)
        tasks[0].run(make_spans, 25)
        a_minute_later = [span for span in spans() if span.name == "work"]

    assert len(in_request) == 20
    assert len(after_request) == 40
    assert len(a_minute_later) == 60
    assert sample("telemetry_spans_dropped_total", reason="span_limit") == before + 15


def test_what_a_background_task_binds_is_on_its_lines(server_span: Ask, log_lines: Lines) -> None:
    tasks: list[contextvars.Context] = []

    def view(_request: HttpRequest) -> HttpResponse:
        tasks.append(contextvars.copy_context())
        return HttpResponse()

    def work() -> None:
        telemetry.bind(batch=7)
        telemetry.get_logger("background").info("packed")

    span = server_span(view)
    tasks[0].run(work)

    lines = [line for line in log_lines() if line["logger"] != "telemetry.request"]
    assert [(line["message"], line["batch"]) for line in lines] == [("packed", 7)]
    assert "app.batch" not in span.attributes


def test_a_background_task_keeps_the_spans_of_its_statements(
    server_span: Ask, spans: Spans
) -> None:
    tasks: list[contextvars.Context] = []

    def view(_request: HttpRequest) -> HttpResponse:
        tasks.append(contextvars.copy_context())
        return HttpResponse()

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 7 FROM auth_group")

    server = server_span(view)
    tasks[0].run(ask)

    (statement,) = [span for span in spans() if span.kind is SpanKind.CLIENT]
    assert statement.name == "SELECT auth_group"
    assert statement.parent == server.context


def test_a_404_is_no_error_of_the_server(server_span: Ask) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        raise Http404

    assert server_span(view).status.status_code is StatusCode.UNSET


def test_what_tools_read_of_a_span(server_span: Ask) -> None:
    found: dict[str, Any] = {}

    def view(_request: HttpRequest) -> HttpResponse:
        with telemetry.get_tracer("shop").start_as_current_span("inner") as span:
            span.set_attribute("a", 1)
            span.add_event("happened", {"b": 2})
            span.set_status(StatusCode.ERROR, "broken")
            assert isinstance(span, LightSpan)
            assert span.end_time is None
        found["inner"] = span
        found["server"] = current()
        return HttpResponse()

    server_span(view)

    span, server = found["inner"], found["server"]
    assert (span.name, span.kind) == ("inner", SpanKind.INTERNAL)
    assert span.parent == server.context == server.get_span_context()
    assert server.parent is None
    assert server.start_time <= span.start_time <= span.end_time
    assert span.attributes["a"] == 1
    assert span.attributes["correlation_id"] == server.attributes["correlation_id"]
    assert server.attributes["http.route"] == "/thing/{id}/"
    (event,) = span.events
    assert (event.name, dict(event.attributes)) == ("happened", {"b": 2})
    assert span.start_time <= event.timestamp <= span.end_time
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "broken")
    assert span.links == ()
    assert span.instrumentation_scope.name == "shop"
    assert span.resource.attributes["service.name"]


def test_an_asynchronous_view_names_its_span_too(spans: Spans) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        current().update_name("mine")
        return HttpResponse()

    request = RequestFactory().get("/")
    asyncio.run(TelemetryMiddleware(view)(request))  # type: ignore[arg-type]

    assert [span.name for span in spans()] == ["mine"]
