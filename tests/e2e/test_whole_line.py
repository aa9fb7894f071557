"""One expense followed through API, metrics, trace, log and alert, with nothing faked."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from testing.servers import poll
from tests.conftest import samples
from tests.e2e.conftest import Whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

CREATED = {"endpoint": "/api/v1/expenses/", "method": "POST", "status": "201"}


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


@pytest.fixture(scope="module")
def created(whole: Whole) -> str:
    """The correlation ID of a request that created an expense."""
    answer = whole.api(
        "POST",
        "/api/v1/expenses/",
        headers={**whole.login(), "X-Correlation-ID": "e2e-lunch-1"},
        json={
            "title": "Lunch",
            "merchant": "Cafe",
            "amount": "12.50",
            "currency": "EUR",
            "spent_on": "2026-01-15",
        },
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["X-Correlation-ID"] == "e2e-lunch-1"
    return "e2e-lunch-1"


@pytest.fixture(scope="module")
def line(whole: Whole, created: str) -> dict[str, Any]:
    """The request's log line."""

    def found() -> list[dict[str, Any]]:
        lines = (whole.layout.logs / "api.log").read_text().splitlines()
        parsed = [json.loads(text) for text in lines if created in text]
        return [line for line in parsed if line["logger"] == "telemetry.request"]

    lines: list[dict[str, Any]] = poll(found, 5, "no log line")
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(scope="module")
def spans(whole: Whole, line: dict[str, Any]) -> list[dict[str, Any]]:
    """The request's trace in Jaeger; its spans may arrive in two exports."""

    def complete() -> list[dict[str, Any]]:
        found = whole.trace(line["trace_id"])
        return found if any(span["spanID"] == line["span_id"] for span in found) else []

    found: list[dict[str, Any]] = poll(complete, 30, "Jaeger does not have the whole trace")
    return found


def test_the_log_line_tells_the_request(line: dict[str, Any]) -> None:
    assert (line["method"], line["endpoint"], line["status"]) == (
        "POST",
        "/api/v1/expenses/",
        201,
    )
    assert line["db_queries"] > 0


def test_the_scrape_counts_the_request(whole: Whole, created: str) -> None:
    scraped = samples(whole.api("GET", "/metrics").text)

    assert scraped[("http_requests_total", frozenset(CREATED.items()))] >= 1


def test_prometheus_has_the_request(whole: Whole, created: str) -> None:
    selector = ",".join(f'{name}="{value}"' for name, value in CREATED.items())

    found = poll(
        lambda: whole.query(f'http_requests_total{{job="expense-tracker-api",{selector}}} >= 1'),
        30,
        "Prometheus did not scrape the request",
    )

    assert found[0]["metric"]["instance"] == whole.layout.address("API_PORT")


def test_jaeger_has_the_trace_with_its_statements(
    spans: list[dict[str, Any]], line: dict[str, Any]
) -> None:
    server = next(span for span in spans if span["spanID"] == line["span_id"])
    statements = [span for span in spans if span is not server]
    assert server["operationName"] == "POST /api/v1/expenses/"
    assert "INSERT expenses_expense" in [span["operationName"] for span in statements]
    assert {span["references"][0]["spanID"] for span in statements} == {server["spanID"]}
    assert len(statements) == line["db_queries"]


def test_postgresql_is_shown_as_client_spans(
    spans: list[dict[str, Any]], line: dict[str, Any]
) -> None:
    statements = [tags_of(span) for span in spans if span["spanID"] != line["span_id"]]

    assert {tags["span.kind"] for tags in statements} == {"client"}
    assert {tags["db.system.name"] for tags in statements} == {"postgresql"}
    insert = next(tags for tags in statements if tags["db.operation.name"] == "INSERT")
    assert insert["db.query.text"].startswith('INSERT INTO "expenses_expense"')
    assert "Lunch" not in insert["db.query.text"]


def test_every_span_carries_the_correlation_id(
    spans: list[dict[str, Any]], line: dict[str, Any]
) -> None:
    for span in spans:
        assert tags_of(span)["correlation_id"] == line["correlation_id"]


def test_every_target_of_prometheus_is_up(whole: Whole) -> None:
    jobs = {"alertmanager", "expense-tracker-api", "jaeger", "probe", "prometheus", "span-metrics"}

    poll(
        lambda: {found["metric"]["job"] for found in whole.query("up == 1")} == jobs,
        30,
        "not every target is up",
    )


def test_errors_raise_the_alert_and_their_end_resolves_it(whole: Whole) -> None:
    def fails() -> None:
        assert whole.api("GET", "/api/v1/demo/faults/error/").status_code == 500

    def firing() -> bool:
        for _ in range(5):
            fails()
        return whole.alerts().get("HighErrorRate") == "firing"

    poll(firing, 60, "HighErrorRate did not fire")

    def notified() -> dict[str, Any] | None:
        fails()
        return whole.notified().get("HighErrorRate")

    alert = poll(notified, 30, "Alertmanager was not told")
    assert alert["labels"]["severity"] == "critical"
    assert alert["status"]["state"] == "active"

    def healthy() -> bool:
        for _ in range(5):
            whole.api("GET", "/health/live")
            whole.api("GET", "/api/schema/", headers={"Accept": "application/json"})
        return "HighErrorRate" not in whole.alerts()

    poll(healthy, 60, "HighErrorRate did not end")
    poll(lambda: "HighErrorRate" not in whole.notified(), 60, "Alertmanager was not told the end")


def test_a_trace_crosses_two_services_under_one_correlation_id(whole: Whole) -> None:
    answer = whole.api("GET", "/api/v1/demo/rates/USD/", headers={"X-Correlation-ID": "e2e-two"})
    assert answer.json()["rate"] == "1.10"

    def lines(name: str) -> list[dict[str, Any]]:
        text = (whole.layout.logs / name).read_text().splitlines()
        return [json.loads(line) for line in text if '"e2e-two"' in line]

    trace_ids = poll(
        lambda: (
            {line["trace_id"] for line in lines("api.log") + lines("rates.log")}
            if lines("api.log") and lines("rates.log")
            else set()
        ),
        5,
        "no lines of both services",
    )
    assert len(trace_ids) == 1
    (trace_id,) = trace_ids
    spans = poll(
        lambda: found if len(found := whole.trace(trace_id)) == 3 else [],
        30,
        "Jaeger does not have the three spans",
    )
    by_id = {span["spanID"]: span for span in spans}
    chain = [span for span in spans if span["operationName"] == "GET /rates/{currency}/"]
    # The first span's parent is the one of this test's own call.
    while (parent := chain[-1]["references"][0]["spanID"]) in by_id:
        chain.append(by_id[parent])
    assert [span["operationName"] for span in chain] == [
        "GET /rates/{currency}/",
        "GET",
        "GET /api/v1/demo/rates/{currency}/",
    ]


def test_jaeger_draws_the_edge_between_the_services(whole: Whole) -> None:
    def edges() -> set[tuple[str, str]]:
        whole.api("GET", "/api/v1/demo/rates/USD/")
        url = whole.layout.url("JAEGER_QUERY_PORT", "/api/dependencies")
        now = int(time.time() * 1000)
        answer = requests.get(url, {"endTs": now, "lookback": 3_600_000}, timeout=10).json()
        return {(edge["parent"], edge["child"]) for edge in answer["data"] or []}

    poll(
        lambda: ("expense-tracker-api", "exchange-rates") in edges(),
        30,
        "no edge in Jaeger's dependency graph",
    )
