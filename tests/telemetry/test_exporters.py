"""Traces reach a real Jaeger by each of the two ways, whole and with the same content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import Server, gunicorn, poll
from tools.local.layout import PORTS, Layout
from tools.local.stack import jaeger

pytestmark = pytest.mark.servers

#: How each way is chosen, by nothing but the environment.
WAYS = {
    "otlp": lambda layout: {
        "OTEL_EXPORTER_OTLP_ENDPOINT": layout.url("JAEGER_OTLP_HTTP_PORT"),
    },
    "agent": lambda layout: {
        "JAEGER_AGENT_HOST": "127.0.0.1",
        "JAEGER_AGENT_PORT": str(layout.port("JAEGER_AGENT_PORT")),
    },
}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Layout]:
    """The ports of a running Jaeger."""
    if find("jaeger") is None:
        pytest.skip("not built: jaeger (make tools)")
    made = Layout(tmp_path_factory.mktemp("jaeger"), {name: free_port() for name in PORTS})
    made.make()
    part = jaeger(made)
    part.start()
    try:
        assert part.wait_until_ready(30), part.last_words()
        yield made
    finally:
        part.stop()


@pytest.fixture(scope="module", params=WAYS)
def server(
    request: pytest.FixtureRequest, layout: Layout, servers_database: str
) -> Iterator[Server]:
    environment = {
        "DATABASE_URL": servers_database,
        "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        "OTEL_TRACES_EXPORTER": "",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **WAYS[request.param](layout),
    }
    started = Server(gunicorn(), environment, request.param)
    yield started
    started.stop()


def spans_of(layout: Layout, trace_id: str, wanted: int) -> list[dict[str, Any]]:
    """The spans of a trace by Jaeger's query API, once all of them arrived."""

    def complete() -> list[dict[str, Any]]:
        answer = requests.get(layout.url("JAEGER_QUERY_PORT", f"/api/traces/{trace_id}"), timeout=5)
        found: list[dict[str, Any]] = (answer.json().get("data") or [{"spans": []}])[0]["spans"]
        return found if len(found) >= wanted else []

    spans: list[dict[str, Any]] = poll(complete, 20, f"Jaeger has no whole trace {trace_id}")
    return spans


def tags(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def request(server: Server, path: str) -> tuple[str, dict[str, Any]]:
    """Send a request; its trace id and its log line."""
    response = server.get(path)
    line = server.line_of(response.headers["X-Correlation-ID"])
    return line["trace_id"], line


def test_the_trace_has_the_request_its_span_and_its_statement(
    server: Server, layout: Layout
) -> None:
    trace_id, line = request(server, "/custom-span/")

    spans = {span["operationName"]: span for span in spans_of(layout, trace_id, 3)}

    assert set(spans) == {"GET /custom-span/", "custom", "SELECT auth_user"}
    outer, custom = spans["GET /custom-span/"], spans["custom"]
    assert outer["spanID"] == line["span_id"]
    assert custom["references"][0]["spanID"] == outer["spanID"]
    assert spans["SELECT auth_user"]["references"][0]["spanID"] == custom["spanID"]


def test_every_span_has_the_correlation_id(server: Server, layout: Layout) -> None:
    trace_id, line = request(server, "/custom-span/")

    spans = spans_of(layout, trace_id, 3)

    assert {tags(span)["correlation_id"] for span in spans} == {line["correlation_id"]}


def test_the_statement_is_shown_without_its_values(server: Server, layout: Layout) -> None:
    trace_id, _ = request(server, "/query/")

    spans = spans_of(layout, trace_id, 2)

    (statement,) = [tags(span) for span in spans if span["operationName"].startswith("SELECT")]
    assert statement["db.query.text"] == "SELECT count(*) FROM auth_user WHERE username = %s"
    assert "secret-value" not in str(spans)


def test_a_failure_is_an_error_in_the_trace(server: Server, layout: Layout) -> None:
    trace_id, _ = request(server, "/fail/")

    (span,) = spans_of(layout, trace_id, 1)

    assert (tags(span)["error"], tags(span)["error.type"]) == (True, "RuntimeError")


def test_a_trace_larger_than_a_datagram_arrives_whole(server: Server, layout: Layout) -> None:
    trace_id, line = request(server, "/many-queries/?n=400")

    assert len(spans_of(layout, trace_id, 401)) == 401
    assert line["db_queries"] == 400


def test_the_service_has_its_name(server: Server, layout: Layout) -> None:
    request(server, "/hello/")

    def services() -> list[str]:
        found: list[str] = requests.get(
            layout.url("JAEGER_QUERY_PORT", "/api/services"), timeout=5
        ).json()["data"]
        return found

    poll(lambda: "expense-tracker-api" in services(), 20, "Jaeger does not know the service")
