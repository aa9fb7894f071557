"""The dashboards as they are committed: generated, complete, and asking for what exists.

Grafana itself does not run here; promtool reads every query.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.alerts.generate import ALERTS
from monitoring.grafana.generate import FOLDER, generated
from monitoring.render import HERE
from monitoring.tools.build import find
from tests.monitoring.promql import metrics
from tests.monitoring.test_rules import known_metrics

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


def test_deploys_and_alerts_are_marked() -> None:
    for board in BOARDS.values():
        names = [annotation["name"] for annotation in board["annotations"]["list"]]
        assert names == ["Deploys", "Alerts"]


def test_links_between_dashboards_keep_time_and_variables() -> None:
    for board in BOARDS.values():
        (link,) = board["links"]
        assert (link["type"], link["keepTime"], link["includeVars"]) == ("dashboards", True, True)


def test_every_panel_has_a_description_a_unit_and_a_source() -> None:
    for name, panel in panels():
        where = f"{name}: {panel.get('title')}"
        assert panel["description"], where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["datasource"]["uid"] == "prometheus", where


def test_every_series_has_a_legend() -> None:
    assert all(target["legendFormat"] for _, panel in panels() for target in panel["targets"])


def test_every_dashboard_can_be_narrowed_to_job_and_instance() -> None:
    for board in BOARDS.values():
        names = [variable["name"] for variable in board["templating"]["list"]]
        assert names[:2] == ["job", "instance"]


def test_queries_ask_for_metrics_that_exist() -> None:
    beside = {"expenses_created_total", "expenses_status_changes_total", "scrape_duration_seconds"}
    # What Prometheus, Alertmanager and Jaeger say of themselves; a live run holds these.
    own = ("prometheus_", "alertmanager_", "otelcol_")
    asked = {name for query in queries() for name in metrics(query)}

    unknown = {name for name in asked if not name.startswith(own)} - known_metrics() - beside
    assert unknown == set()


def test_promtool_can_read_every_query(tmp_path: Path) -> None:
    promtool = find("promtool")
    if promtool is None:
        pytest.skip("not built: promtool (make tools)")
    replaced = [query.replace("$__rate_interval", "1m") for query in queries()]
    rules = [{"record": f"q:{number}", "expr": text} for number, text in enumerate(replaced)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    result = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr


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
