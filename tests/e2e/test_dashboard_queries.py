"""Every query of every panel and variable, against a Prometheus that scraped real traffic."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import requests

from scripts.drill.faults import BY_NAME
from scripts.servers import poll
from scripts.traffic import Visitor
from tests.e2e.conftest import Whole
from tests.monitoring.test_dashboard_lint import targets
from tests.monitoring.test_dashboards import BOARDS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

#: Queries that only trouble gives data: a part of the query, and the drill that makes it.
NEEDS_FAULT = {
    "database_errors_total": "all-errors",
    "database_connection_errors_total": "database-stopped",
    "telemetry_series_dropped_total": "series-flood",
    "otelcol_receiver_refused_spans_total": "jaeger-hanging",
}
_VARIABLES = {
    "$job": "expense-tracker-api",
    "$instance": ".*",
    "$endpoint": ".*",
    "$slo": ".*",
    "$__rate_interval": "20s",
}


def filled(query: str) -> str:
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    return query


def traffic(whole: Whole) -> None:
    """Requests of all kinds, and the trouble that the demo's switch makes cheaply."""
    visitor = Visitor(
        whole.layout.url("API_PORT"),
        whole.login()["Authorization"].removeprefix("Token "),
        random.Random(7),
    )
    for _ in range(15):
        visitor.act()
    visitor.mistake()
    for path in ("error/", "slow/?seconds=0.6", "queries/?n=20"):
        whole.api("GET", f"/api/v1/demo/faults/{path}")
    whole.api("GET", "/api/v1/demo/rates/USD/")


def test_faults_that_give_data_are_drills() -> None:
    assert set(NEEDS_FAULT.values()) <= set(BY_NAME)


def test_every_panel_shows_data(whole: Whole) -> None:
    waiting = {
        filled(query): where
        for where, query in targets()
        if not any(part in query for part in NEEDS_FAULT)
    }

    def all_seen() -> bool:
        traffic(whole)
        for query in [query for query in waiting if whole.query(query)]:
            del waiting[query]
        return not waiting

    try:
        poll(all_seen, 90, "some panels stay empty")
    except AssertionError:
        pytest.fail(f"panels without data: {waiting}")


def test_queries_that_need_a_fault_are_valid(whole: Whole) -> None:
    for where, query in targets():
        answer = requests.get(
            whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query"),
            {"query": filled(query)},
            timeout=10,
        )
        assert answer.status_code == 200, (where, answer.text)


def test_every_variable_has_values(whole: Whole) -> None:
    variables: dict[str, Any] = {
        f"{board['uid']}: {variable['name']}": variable["query"]
        for board in BOARDS.values()
        for variable in board["templating"]["list"]
    }
    traffic(whole)

    for where, query in variables.items():
        found = re.fullmatch(r"label_values\((.+), (\w+)\)", str(query))
        assert found, where
        series, label = found.groups()
        url = whole.layout.url("PROMETHEUS_SERVER_PORT", f"/api/v1/label/{label}/values")
        values = poll(
            lambda url=url, series=series: requests.get(
                url, {"match[]": filled(series)}, timeout=10
            ).json()["data"],
            30,
            f"{where} has no values",
        )
        assert values
