"""What Jaeger counts of spans, beside what the service counts of requests."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from scripts.servers import poll
from tests.e2e.conftest import Whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ENDPOINT = "/api/v1/categories/"
REQUESTS = f'sum(http_requests_total{{method="GET", endpoint="{ENDPOINT}"}})'
SPANS = (
    'sum(traces_span_metrics_calls_total{service_name="expense-tracker-api", '
    f'span_kind="SPAN_KIND_SERVER", span_name="GET {ENDPOINT}"}})'
)


def value(whole: Whole, query: str) -> float:
    found = whole.query(query)
    return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture(scope="module")
def counted(whole: Whole) -> float:
    """Requests that the service counted, all of them sampled."""
    headers = whole.login()
    for _ in range(25):
        assert whole.api("GET", ENDPOINT, headers=headers).status_code == 200
    counted: float = poll(
        lambda: n if (n := value(whole, REQUESTS)) >= 25 else 0.0, 30, "they were not counted"
    )
    return counted


def test_spans_and_requests_agree(whole: Whole, counted: float) -> None:
    poll(
        lambda: value(whole, SPANS) == counted,
        60,
        f"not {counted:g} spans but {value(whole, SPANS):g}",
    )


def test_their_durations_agree(whole: Whole, counted: float) -> None:
    """A span begins and ends some steps beside the clock of the metric."""
    ours = REQUESTS.replace("requests_total", "request_duration_seconds_sum")
    theirs = SPANS.replace("calls_total", "duration_seconds_sum")

    poll(
        lambda: abs(value(whole, theirs) - value(whole, ours)) < counted * 0.005,
        60,
        f"{value(whole, theirs)} s of spans, {value(whole, ours)} s of requests",
    )


def test_the_monitor_tab_has_its_figures(whole: Whole, counted: float) -> None:
    def figures() -> list[dict[str, Any]]:
        asked = {
            "service": "expense-tracker-api",
            "spanKind": "server",
            "groupByOperation": "true",
            "endTs": str(int(time.time() * 1000)),
            "lookback": "600000",
            "step": "5000",
            "ratePer": "600000",
        }
        url = whole.layout.url("JAEGER_QUERY_PORT", "/api/metrics/calls")
        answer = requests.get(url, asked, timeout=10)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["metrics"]
        return found

    found = poll(figures, 60, "Jaeger has no figures for its Monitor tab")
    operations = {label["value"] for each in found for label in each["labels"]}
    assert f"GET {ENDPOINT}" in operations
