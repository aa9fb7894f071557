"""The short tour of telemetry: each promise once, in the order of a request's way.

What each part does in every odd case stands in ``tests/telemetry/``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.test import Client
from opentelemetry.trace import SpanKind

import telemetry
from tests.conftest import Lines, Sample, Spans

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]


def test_every_answer_has_a_correlation_id(client: Client) -> None:
    response = client.get("/hello/")

    assert len(response["X-Correlation-ID"]) == 32


def test_a_callers_correlation_id_is_kept(client: Client) -> None:
    response = client.get("/hello/", headers={"X-Correlation-ID": "order:42"})

    assert response["X-Correlation-ID"] == "order:42"


def test_a_request_is_counted_by_its_route(client: Client, sample: Sample) -> None:
    labels = {"method": "GET", "endpoint": "/hello/{name}/", "status": "200"}
    before = sample("http_requests_total", **labels)

    client.get("/hello/anna/")

    assert sample("http_requests_total", **labels) == before + 1


def test_a_request_is_timed(client: Client, sample: Sample) -> None:
    labels = {"method": "GET", "endpoint": "/hello/"}
    before = sample("http_request_duration_seconds_count", **labels)

    client.get("/hello/")

    assert sample("http_request_duration_seconds_count", **labels) == before + 1


def test_a_statement_is_counted_by_verb_and_table(client: Client, sample: Sample) -> None:
    labels = {"operation": "SELECT", "table": "auth_user"}
    before = sample("database_queries_total", **labels)

    client.get("/query/")

    assert sample("database_queries_total", **labels) == before + 1


def test_a_failed_request_is_an_error(client: Client, sample: Sample) -> None:
    client.raise_request_exception = False
    labels = {"type": "RuntimeError", "endpoint": "/fail/"}
    before = sample("errors_total", **labels)

    client.get("/fail/")

    assert sample("errors_total", **labels) == before + 1


def test_the_trace_has_a_server_span_and_its_statements(client: Client, spans: Spans) -> None:
    response = client.get("/query/")

    statement, server = spans()
    assert (server.name, server.kind) == ("GET /query/", SpanKind.SERVER)
    assert (statement.name, statement.kind) == ("SELECT auth_user", SpanKind.CLIENT)
    assert statement.parent.span_id == server.context.span_id
    for span in (statement, server):
        assert span.attributes["correlation_id"] == response["X-Correlation-ID"]


def test_a_statements_values_are_not_shown(client: Client, spans: Spans) -> None:
    client.get("/query/")

    assert "secret-value" not in str([span.attributes for span in spans()])


def test_custom_spans_stand_between_the_request_and_its_statements(
    client: Client, spans: Spans
) -> None:
    client.get("/custom-span/")

    statement, custom, server = sorted(spans(), key=lambda span: span.start_time, reverse=True)
    assert statement.parent.span_id == custom.context.span_id
    assert custom.parent.span_id == server.context.span_id
    assert custom.attributes["custom.attribute"] == "value"


def test_a_span_of_the_tracer_can_be_used_in_a_with_statement(spans: Spans) -> None:
    tracer = telemetry.get_tracer()

    with tracer.start_span("custom_operation") as span:
        span.set_attribute("custom.attribute", "value")

    (ended,) = spans()
    assert (ended.name, dict(ended.attributes)) == (
        "custom_operation",
        {"custom.attribute": "value"},
    )


def test_a_request_is_one_log_line(client: Client, log_lines: Lines) -> None:
    response = client.get("/query/")

    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.request"]
    for name in ("timestamp", "duration_seconds", "db_seconds", "trace_id", "span_id"):
        assert line.pop(name)
    assert line == {
        "level": "info",
        "logger": "telemetry.request",
        "message": "GET /query/ 200",
        "correlation_id": response["X-Correlation-ID"],
        "method": "GET",
        "endpoint": "/query/",
        "path": "/query/",
        "status": 200,
        "db_queries": 1,
        "user_id": None,
        "client_ip": "127.0.0.1",
        "response_bytes": 1,
    }


def test_the_line_and_the_trace_have_the_same_ids(
    client: Client, log_lines: Lines, spans: Spans
) -> None:
    client.get("/hello/")

    (server,) = spans()
    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.request"]
    assert line["trace_id"] == f"{server.context.trace_id:032x}"
    assert line["span_id"] == f"{server.context.span_id:016x}"


def test_bound_fields_are_on_the_lines_and_the_span(
    client: Client, log_lines: Lines, spans: Spans
) -> None:
    client.get("/bound/")

    assert [line["expense_id"] for line in log_lines()] == [7, 7]
    (server,) = spans()
    assert server.attributes["app.expense_id"] == 7


def test_a_secret_is_masked_by_its_key(client: Client, log_lines: Lines) -> None:
    client.get("/bound/")

    inside, _request = log_lines()
    assert inside["password"] == "***"


class _Recorder(BaseHTTPRequestHandler):
    received: list[dict[str, str]]

    def do_GET(self) -> None:
        self.received.append(dict(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"there")

    def log_message(self, *_args: object) -> None:
        """The test looks at what was received, not at a line."""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Another service: its address, and the headers that it received."""
    handler = type("Handler", (_Recorder,), {"received": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", handler.received
        server.shutdown()
        thread.join()


def test_an_outgoing_call_carries_the_trace_and_the_correlation_id(
    client: Client, spans: Spans, elsewhere: tuple[str, list[dict[str, str]]]
) -> None:
    url, received = elsewhere

    response = client.get("/call/", {"url": url})

    call, server = spans()
    assert (call.name, call.kind, call.parent.span_id) == (
        "GET",
        SpanKind.CLIENT,
        server.context.span_id,
    )
    assert received[0]["X-Correlation-ID"] == response["X-Correlation-ID"]
    assert received[0]["traceparent"].split("-")[1:3] == [
        f"{call.context.trace_id:032x}",
        f"{call.context.span_id:016x}",
    ]


def test_own_metrics_are_scraped(client: Client) -> None:
    tours = telemetry.counter("tours_total", "Short tours taken.", ["kind"])

    tours.labels("test").inc()

    assert 'tours_total{kind="test"} 1.0' in client.get("/metrics").content.decode()


def test_health_says_that_the_process_is_up(client: Client) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}
