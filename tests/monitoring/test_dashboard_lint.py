"""The rules of Grafana's dashboard linter, a test for each that applies.

Left out, with the reason: template-datasource-rule and panel-datasource-rule want a variable for
the data source; here it has the fixed uid ``prometheus``, provisioned with the dashboards. Rules
about Loki do not apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.monitoring.test_dashboards import BOARDS, panels

#: Boards about the stack, and recorded series, which have labels of their own.
_OWN_LABELS = ("slo:", "prometheus_", "alertmanager_", "otelcol_", "up", "scrape_duration_seconds")


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def targets() -> list[tuple[str, str]]:
    return [
        (f"{name}: {panel['title']}", target["expr"])
        for name, panel in panels()
        for target in panel["targets"]
    ]


def selectors(expression: str) -> Iterator[tuple[str, str]]:
    """Metric names and the label matchers behind them."""
    for found in re.finditer(r"([a-z][a-z0-9_:]+)(?:\{([^}]*)\})?(?=[\[\s),/*-]|$)", expression):
        name, labels = found.groups()
        if labels is not None or name in {"up", "scrape_duration_seconds"} or "_total" in name:
            yield name, labels or ""


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board["uid"])
def test_template_job_rule(board: dict[str, Any]) -> None:
    job = variables(board)["job"]

    assert job["type"] == "query"
    assert "label_values(" in str(job["query"])


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board["uid"])
def test_template_instance_rule(board: dict[str, Any]) -> None:
    instance = variables(board)["instance"]

    assert instance["type"] == "query"
    assert instance["multi"]
    assert instance["includeAll"]
    assert 'job="$job"' in str(instance["query"])


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board["uid"])
def test_template_on_time_change_reload_rule(board: dict[str, Any]) -> None:
    """2 is "on time range change"."""
    assert {variable["refresh"] for variable in variables(board).values()} == {2}


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board["uid"])
def test_uneditable_dashboard(board: dict[str, Any]) -> None:
    assert board["editable"] is False


def test_panel_title_description_rule() -> None:
    assert all(panel["title"] and panel["description"] for _, panel in panels())


def test_panel_titles_are_unique_within_a_dashboard() -> None:
    for board in BOARDS.values():
        titles = [panel["title"] for panel in board["panels"]]
        assert len(titles) == len(set(titles)), board["uid"]


def test_panel_units_rule() -> None:
    assert all(panel["fieldConfig"]["defaults"]["unit"] for _, panel in panels())


def test_panel_no_targets_rule() -> None:
    assert all(panel["targets"] for _, panel in panels())


def test_panels_have_thresholds() -> None:
    assert all(panel["fieldConfig"]["defaults"]["thresholds"]["steps"] for _, panel in panels())


@pytest.mark.parametrize(("where", "expression"), targets())
def test_target_job_and_instance_rule(where: str, expression: str) -> None:
    for name, labels in selectors(expression):
        if not name.startswith(_OWN_LABELS):
            assert 'job="$job"' in labels, where
            assert 'instance=~"$instance"' in labels, where


@pytest.mark.parametrize(("where", "expression"), targets())
def test_target_rate_interval_rule(where: str, expression: str) -> None:
    """Rates follow the panel; the stack's own counters move slowly and keep five minutes."""
    for name, interval in re.findall(r"\brate\((\w+)[^\[]*\[([^\]]+)\]", expression):
        assert interval == "$__rate_interval" or name.startswith(_OWN_LABELS), where


@pytest.mark.parametrize(("where", "expression"), targets())
def test_target_counter_agg_rule(where: str, expression: str) -> None:
    """A counter stands inside rate or increase."""
    bare = re.sub(r"(rate|increase)\([^()]*\)", "", expression)

    assert "_total" not in bare, where
