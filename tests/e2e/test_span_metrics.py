"""What Jaeger counts of spans, beside what the service counts of requests."""

from __future__ import annotations

import time

import pytest
import requests

from testing.servers import poll
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
    theirs = SPANS.replace("calls_total", "duration_milliseconds_sum")

    poll(
        lambda: abs(value(whole, theirs) / 1000 - value(whole, ours)) < counted * 0.005,
        60,
        f"{value(whole, theirs)} ms of spans, {value(whole, ours)} s of requests",
    )


def monitor(whole: Whole, figure: str, **more: str) -> dict[str, list[float]]:
    """What the Monitor tab asks for: by operation the figures of the last ten minutes."""
    asked = {
        "service": "expense-tracker-api",
        "spanKind": "server",
        "groupByOperation": "true",
        "endTs": str(int(time.time() * 1000)),
        "lookback": "600000",
        "step": "5000",
        "ratePer": "600000",
        **more,
    }
    url = whole.layout.url("JAEGER_QUERY_PORT", f"/api/metrics/{figure}")
    answer = requests.get(url, asked, timeout=10)
    assert answer.status_code == 200, answer.text
    found: dict[str, list[float]] = {}
    for each in answer.json()["metrics"]:
        labels = {label["name"]: label["value"] for label in each["labels"]}
        values = [point["gaugeValue"]["doubleValue"] for point in each["metricPoints"]]
        found[labels["operation"]] = [float(text) for text in values if text != "NaN"]
    return found


@pytest.mark.parametrize(
    ("figure", "endpoint"), [("calls", ENDPOINT), ("errors", "/api/v1/demo/faults/error/")]
)
def test_the_monitor_tab_has_rates(
    whole: Whole, counted: float, figure: str, endpoint: str
) -> None:
    def rates() -> list[float]:
        # A rate needs a series that grows, not one that begins with its last value.
        whole.api("GET", endpoint)
        return monitor(whole, figure).get(f"GET {endpoint}", [])

    poll(rates, 60, f"the Monitor tab has no {figure}")


def test_the_monitor_tab_has_latencies_in_milliseconds(whole: Whole, counted: float) -> None:
    """Its page takes them for milliseconds."""
    slow = "/api/v1/demo/faults/slow/"

    def latencies() -> list[float]:
        # A rate needs a series that grows, not one that begins with its last value.
        whole.api("GET", f"{slow}?seconds=0.3")
        return monitor(whole, "latencies", quantile="0.5").get(f"GET {slow}", [])

    # The bucket that holds 300 ms; earlier requests of other tests were slower.
    poll(lambda: 250 <= (latencies() or [0.0])[-1] <= 500, 90, "the Monitor tab has no 300 ms")
