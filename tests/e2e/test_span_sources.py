"""One request in metrics, Jaeger and the log, whoever makes the spans (``TELEMETRY_SPANS``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testing.servers import Server, gunicorn, poll
from tests.conftest import samples
from tests.e2e.conftest import Whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

#: Name of the server span and of an insert's, as each source names them.
NAMES = {
    "own": ("POST /api/v1/expenses/", "INSERT expenses_expense"),
    "sdk": ("POST /api/v1/expenses/", "INSERT expenses_expense"),
    "contrib": ("POST api/v1/expenses/", "INSERT"),
}


@pytest.fixture(scope="module", params=NAMES)
def source(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def server(whole: Whole, source: str) -> Iterator[Server]:
    """The service with this source of spans, beside the running system and on its database."""
    started = Server(
        gunicorn(),
        {
            "DATABASE_URL": whole.system.database.url(),
            "DEMO": "1",
            "TELEMETRY_SPANS": source,
            "DJANGO_STRUCTLOG": "1",
            "OTEL_SERVICE_NAME": f"spans-by-{source}",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": whole.layout.url("JAEGER_OTLP_HTTP_PORT"),
        },
    )
    yield started
    started.stop()


def test_metrics_trace_and_record_share_one_correlation_id(
    whole: Whole, server: Server, source: str
) -> None:
    correlation_id = f"spans-by-{source}-1"
    expense = {
        "title": "Lunch",
        "merchant": "Cafe",
        "amount": "12.50",
        "currency": "EUR",
        "spent_on": "2026-01-15",
    }

    answer = server.session.post(
        server.url("/api/v1/expenses/"),
        json=expense,
        headers={**whole.login(), "X-Correlation-ID": correlation_id},
        timeout=20,
    )

    assert answer.status_code == 201, answer.text
    assert answer.headers["X-Correlation-ID"] == correlation_id
    record = server.line_of(correlation_id)
    assert (record["endpoint"], record["status"]) == ("/api/v1/expenses/", 201)
    counted = {"method": "POST", "endpoint": "/api/v1/expenses/", "status": "201"}
    assert samples(server.scrape())["http_requests_total", frozenset(counted.items())] == 1
    server_name, insert_name = NAMES[source]
    spans = poll(lambda: of_request(whole, record, server_name), 30, "Jaeger has no whole trace")
    assert insert_name in [span["operationName"] for span in spans]
    assert len(spans) == 1 + record["db_queries"]
    for span in spans:
        assert tags_of(span)["correlation_id"] == correlation_id


def of_request(whole: Whole, record: dict[str, Any], server_name: str) -> list[dict[str, Any]]:
    """The trace's spans, once the server span is there: it ends last."""
    spans = whole.trace(record["trace_id"])
    names = {span["spanID"]: span["operationName"] for span in spans}
    return spans if names.get(record["span_id"]) == server_name else []


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def test_a_request_has_one_record_beside_django_structlog(server: Server, source: str) -> None:
    correlation_id = f"spans-by-{source}-2"

    server.get("/api/v1/expenses/", headers={"X-Correlation-ID": correlation_id})

    record = server.line_of(correlation_id)
    of_this_request = [
        line for line in server.log_lines() if line.get("correlation_id") == correlation_id
    ]
    assert of_this_request == [record]
    assert record["request_id"]
