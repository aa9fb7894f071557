"""The rules of Grafana's dashboard linter, a test for each, named as the linter names it.

Source: github.com/grafana/dashboard-linter, ``docs/rules``. The rules about Loki do not apply:
there is no such data source. What is left out of a rule stands in ``EXCEPT`` with its reason.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.tools.build import find
from tests.monitoring.promql import selectors
from tests.monitoring.test_dashboards import BOARDS, panels

#: By rule the dashboards that it does not hold for, and why.
EXCEPT = {
    "template-instance-rule": {"slo": "recorded series are sums over all instances"},
    "target-instance-rule": {"slo": "recorded series are sums over all instances"},
}
#: Panels that show the whole distribution and no quantile.
HEATMAPS = {("endpoint-detail", "Durations")}
#: Units that Grafana knows: packages/grafana-data/src/valueFormats/categories.ts. Those in use.
UNITS = {"short", "percentunit", "s", "decbytes", "ops", "reqps", "dateTimeFromNow"}

each_board = pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board["uid"])


def variables(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def targets() -> list[tuple[str, str]]:
    """Dashboard and panel, and the query, of all."""
    return [
        (f"{name}: {panel['title']}", target["expr"])
        for name, panel in panels()
        for target in panel["targets"]
    ]


each_target = pytest.mark.parametrize(("where", "expression"), targets())


def excepted(rule: str, where: str) -> bool:
    return where.partition(":")[0] in EXCEPT[rule]


@each_board
def test_template_datasource_rule(board: dict[str, Any]) -> None:
    (source,) = [each for each in board["templating"]["list"] if each["type"] == "datasource"]

    assert (source["name"], source["label"]) == ("datasource", "Data source")
    assert source["query"] == "prometheus"
    # The uid that ours is provisioned with: at the beginning it is the one that is chosen.
    assert source["current"]["value"] == "prometheus"


def check_template(board: dict[str, Any], name: str) -> None:
    variable = variables(board)[name]

    assert variable["type"] == "query"
    assert variable["datasource"]["uid"] == "${datasource}"
    assert variable["label"] == name.capitalize()
    assert variable["multi"]
    assert variable["includeAll"]
    assert variable["allValue"] == ".+"


@each_board
def test_template_job_rule(board: dict[str, Any]) -> None:
    check_template(board, "job")


@each_board
def test_template_instance_rule(board: dict[str, Any]) -> None:
    if board["uid"] in EXCEPT["template-instance-rule"]:
        assert "instance" not in variables(board), "it would choose nothing"
    else:
        check_template(board, "instance")


@each_board
def test_template_label_promql_rule(board: dict[str, Any], tmp_path: Path) -> None:
    queries = [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    series = [re.fullmatch(r"label_values\((.+), (\w+)\)", query) for query in queries]

    assert all(series), queries
    check_promql([found[1] for found in series if found], tmp_path)


@each_board
def test_template_on_time_change_reload_rule(board: dict[str, Any]) -> None:
    """2 is "on time range change"."""
    refreshed = {each["refresh"] for each in variables(board).values() if each["type"] == "query"}

    assert refreshed == {2}


@each_board
def test_a_variable_is_used(board: dict[str, Any]) -> None:
    """In the linter: template-unused."""
    text = str(board["panels"])

    assert [name for name in variables(board) if f"${name}" not in text.replace("{", "")] == []


@each_board
def test_uneditable_dashboard_rule(board: dict[str, Any]) -> None:
    assert board["editable"] is False


def test_panel_datasource_rule() -> None:
    for name, panel in panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}, (name, panel["title"])


def test_panel_title_description_rule() -> None:
    assert all(panel["title"] and panel["description"] for _, panel in panels())


def test_panel_titles_are_unique_within_a_dashboard() -> None:
    for board in BOARDS.values():
        titles = [panel["title"] for panel in board["panels"]]
        assert len(titles) == len(set(titles)), board["uid"]


def test_panel_units_rule() -> None:
    assert {panel["fieldConfig"]["defaults"]["unit"] for _, panel in panels()} <= UNITS


def test_panel_no_targets_rule() -> None:
    assert all(panel["targets"] for _, panel in panels())


def check_promql(expressions: list[str], folder: Path) -> None:
    """Raises AssertionError with promtool's words."""
    promtool = find("promtool")
    if promtool is None:
        pytest.skip("not built: promtool (make tools)")
    rules = [
        {"record": f"q:{number}", "expr": text.replace("$__rate_interval", "1m")}
        for number, text in enumerate(expressions)
    ]
    file = folder / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    result = subprocess.run(
        [promtool, "check", "rules", "--lint=none", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_target_promql_rule(tmp_path: Path) -> None:
    check_promql([expression for _, expression in targets()], tmp_path)


@each_board
def test_annotations_are_promql_and_use_the_chosen_source(
    board: dict[str, Any], tmp_path: Path
) -> None:
    annotations = board["annotations"]["list"]

    assert {each["datasource"]["uid"] for each in annotations} == {"${datasource}"}
    check_promql([each["expr"] for each in annotations], tmp_path)


@each_target
def test_target_rate_interval_rule(where: str, expression: str) -> None:
    for _, interval in re.findall(r"\b(i?rate)\([^\[]*\[([^\]]+)\]", expression):
        assert interval == "$__rate_interval", where


@each_target
def test_a_query_reads_something(where: str, expression: str) -> None:
    assert selectors(expression), where


@each_target
def test_target_job_rule(where: str, expression: str) -> None:
    for name, matchers in selectors(expression):
        assert 'job=~"$job"' in matchers, (where, name)


@each_target
def test_target_instance_rule(where: str, expression: str) -> None:
    if excepted("target-instance-rule", where):
        return
    for name, matchers in selectors(expression):
        assert 'instance=~"$instance"' in matchers, (where, name)


@each_target
def test_target_counter_agg_rule(where: str, expression: str) -> None:
    """A counter stands inside rate or increase."""
    bare = re.sub(r"\b(rate|irate|increase)\([^()]*\)", "", expression)

    assert [name for name, _ in selectors(bare) if name.endswith("_total")] == [], where


@each_target
def test_target_histogram_rule(where: str, expression: str) -> None:
    """Buckets are read by histogram_quantile, but for a heatmap."""
    if any(name.endswith("_bucket") for name, _ in selectors(expression)):
        board, _, panel = where.partition(": ")
        assert "histogram_quantile(" in expression or (board, panel) in HEATMAPS


def test_what_is_excepted_is_there() -> None:
    assert {name for names in EXCEPT.values() for name in names} <= set(BOARDS)
    assert {(name, panel["title"]) for name, panel in panels()} >= HEATMAPS
