"""An alert's link to Jaeger, asked of Jaeger: it finds the requests that the alert is about."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests

from testing.servers import poll
from tests.e2e.conftest import Whole
from tests.monitoring.test_rules import alerts

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FAULTS = "/api/v1/demo/faults"
#: An alert, labels that it would have, the request that raises it, and its operation in Jaeger.
CASES = [
    ("HighErrorRate", {}, f"{FAULTS}/error/"),
    ("EndpointFailing", {"method": "GET", "endpoint": f"{FAULTS}/error/"}, f"{FAULTS}/error/"),
    ("HighResponseTime", {}, f"{FAULTS}/slow/?seconds=2.6"),
    (
        "EndpointSlow",
        {"method": "GET", "endpoint": f"{FAULTS}/slow/"},
        f"{FAULTS}/slow/?seconds=2.6",
    ),
    ("RequestsRefused", {"status": "401"}, "/api/v1/expenses/"),
    ("RepeatedQueries", {"endpoint": f"{FAULTS}/queries/"}, f"{FAULTS}/queries/?n=20"),
]


def link(alert: str, labels: dict[str, str]) -> dict[str, str]:
    """The query of an alert's link to Jaeger, its templates filled as Prometheus fills them."""
    text = alerts()[alert]["annotations"]["traces_url"]
    for name, value in labels.items():
        text = text.replace(f"{{{{ urlquery $labels.{name} }}}}", quote(value, safe=""))
    assert "{{" not in text
    return {name: values[0] for name, values in parse_qs(urlsplit(text).query).items()}


def found(whole: Whole, query: dict[str, str], operation: str) -> list[dict[str, Any]]:
    """Traces that the search finds and that hold such a server span."""
    url = whole.layout.url("JAEGER_QUERY_PORT", "/api/traces")
    answer = requests.get(url, query | {"limit": "50"}, timeout=10)
    assert answer.status_code == 200, answer.text
    return [
        trace
        for trace in answer.json()["data"] or []
        if operation in {span["operationName"] for span in trace["spans"]}
    ]


@pytest.mark.parametrize(("alert", "labels", "path"), CASES, ids=[case[0] for case in CASES])
def test_it_finds_the_requests(whole: Whole, alert: str, labels: dict[str, str], path: str) -> None:
    whole.api("GET", path)

    operation = f"GET {path.partition('?')[0]}"
    poll(lambda: found(whole, link(alert, labels), operation), 30, "the search finds none")


def test_it_finds_the_calls_to_a_host_that_is_away(whole: Whole) -> None:
    rates = whole.system.rates
    assert rates is not None
    rates.stop()
    try:
        whole.api("GET", "/api/v1/demo/rates/USD/")
    finally:
        rates.start()
        assert rates.wait_until_ready(30)

    query = link("UpstreamFailing", {"host": "127.0.0.1"})
    operation = "GET /api/v1/demo/rates/{currency}/"
    poll(lambda: found(whole, query, operation), 30, "the search finds none")


def test_every_link_that_names_a_label_is_among_the_cases() -> None:
    named = {
        name
        for name, rule in alerts().items()
        if re.search(r"urlquery \$labels", rule["annotations"]["traces_url"])
    }

    # UpstreamSlow's link is that of UpstreamFailing with a duration in place of the error.
    assert named == {case[0] for case in CASES if case[1]} | {"UpstreamSlow"}
