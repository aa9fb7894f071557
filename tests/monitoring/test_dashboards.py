"""The dashboards as they are committed: generated, complete, and asking for what exists.

Grafana itself does not run here; promtool reads every query.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from monitoring.alerts.alert import Alert
from monitoring.alerts.generate import ALERTS
from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.generate import FOLDER, generated
from monitoring.render import HERE
from tests.monitoring.promql import metrics
from tests.monitoring.test_rules import known_metrics, recorded

BOARDS = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield name, panel


def queries() -> list[str]:
    return [target["expr"] for _, panel in panels() for target in panel["targets"]]


def test_what_is_committed_is_what_the_code_says() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.json")} == generated()


def test_the_dashboards_of_the_brief_are_there() -> None:
    assert {board["title"] for board in BOARDS.values()} >= {
        "API Performance Overview",
        "Database Performance",
        "Error Tracking",
        "System Health",
    }


def test_every_alert_leads_to_a_dashboard_that_has_its_variables() -> None:
    for alert in (each for alerts in ALERTS.values() for each in alerts):
        there = {variable["name"] for variable in BOARDS[alert.dashboard]["templating"]["list"]}
        assert set(alert.variables) <= there, alert.name


def test_a_dashboard_answers_one_question_and_its_first_panel_is_the_answer() -> None:
    for board in BOARDS.values():
        assert "?" in board["description"], board["uid"]
        first = board["panels"][0]
        assert (first["type"], first["gridPos"]["x"], first["gridPos"]["y"]) == ("stat", 0, 0)


def test_deploys_starts_and_alerts_are_marked() -> None:
    for board in BOARDS.values():
        marks = {each["name"]: each["expr"] for each in board["annotations"]["list"]}
        assert list(marks) == ["Deploys", "Starts", "Alerts"]
        assert "build_info" in marks["Deploys"]
        assert 'ALERTS{alertstate="firing"' in marks["Alerts"]


def test_links_between_dashboards_keep_time_and_variables() -> None:
    for board in BOARDS.values():
        (link,) = board["links"]
        assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)


def test_every_panel_has_a_description_a_unit_and_thresholds() -> None:
    for name, panel in panels():
        where = f"{name}: {panel.get('title')}"
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["description"], where
        assert defaults["unit"], where
        assert defaults["thresholds"]["steps"], where


def thresholds(board: str, title: str) -> list[float]:
    """The values at which a panel changes its colour."""
    (panel,) = (each for name, each in panels() if (name, each["title"]) == (board, title))
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return [step["value"] for step in steps if step["value"] is not None]


@pytest.mark.parametrize(
    ("alert", "title"),
    [
        ("HighErrorRate", "Share of 5xx answers"),
        ("EndpointFailing", "Share of 5xx answers over time"),
        ("HighResponseTime", "Response time"),
        ("EndpointSlow", "Response time"),
        ("HighMemoryUsage", "Memory"),
        ("DatabaseConnectionErrors", "Share of failed connections"),
        ("SlowDatabase", "Statement time by table"),
        ("RepeatedQueries", "Repeated queries (N+1)"),
        ("UpstreamFailing", "Share of failed outgoing calls"),
        ("UpstreamSlow", "Outgoing calls"),
    ],
)
def test_an_alerts_dashboard_draws_its_threshold(alert: str, title: str) -> None:
    (board,) = {
        each.dashboard for alerts in ALERTS.values() for each in alerts if each.name == alert
    }

    assert THRESHOLDS[alert].above in thresholds(board, title)


def test_every_series_has_a_legend() -> None:
    assert all(target["legendFormat"] for _, panel in panels() for target in panel["targets"])


@pytest.mark.parametrize(
    "alert", [each for alerts in ALERTS.values() for each in alerts], ids=lambda each: each.name
)
def test_an_alerts_dashboard_shows_what_the_alert_is_about(alert: Alert) -> None:
    shown = {
        name
        for board, panel in panels()
        for target in panel["targets"]
        if board == alert.dashboard
        for name in metrics(target["expr"])
    }

    # Watchdog is about nothing. What is recorded is about what it is recorded from.
    asked = metrics(alert.expression)
    asked |= {name for each in asked & recorded().keys() for name in metrics(recorded()[each])}
    assert asked & shown or not asked


@pytest.mark.parametrize("uid", ["api-performance", "error-tracking", "endpoint-detail"])
def test_what_is_counted_by_endpoint_can_be_narrowed_to_one(uid: str) -> None:
    names = [variable["name"] for variable in BOARDS[uid]["templating"]["list"]]

    assert names == ["datasource", "job", "instance", "endpoint"]


def test_queries_ask_for_metrics_that_exist() -> None:
    beside = {"scrape_duration_seconds"}
    # What Prometheus, Alertmanager and Jaeger say of themselves; a live run holds these.
    own = ("prometheus_", "alertmanager_", "otelcol_")
    asked = {name for query in queries() for name in metrics(query)}

    unknown = {name for name in asked if not name.startswith(own)} - known_metrics() - beside
    assert unknown == set()


def sources() -> dict[str, dict[str, Any]]:
    file = HERE / "grafana/provisioning/datasources/datasources.yml"
    return {source["uid"]: source for source in yaml.safe_load(file.read_text())["datasources"]}


def test_exemplars_lead_to_jaeger() -> None:
    (link,) = sources()["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]

    assert (link["name"], link["datasourceUid"]) == ("trace_id", "jaeger")


def test_grafana_knows_the_scrape_interval() -> None:
    prometheus = yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text())

    interval = sources()["prometheus"]["jsonData"]["timeInterval"]
    assert interval == prometheus["global"]["scrape_interval"]
