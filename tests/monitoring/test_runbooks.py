"""A runbook for each alert, of one shape, that asks for what exists and leads where it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from monitoring.grafana.generate import FOLDER as DASHBOARDS
from monitoring.render import HERE
from tests.monitoring.promql import metrics
from tests.monitoring.runbooks import HEADINGS, RUNBOOKS, Runbook
from tests.monitoring.test_rules import alerts, known_metrics, promtool

#: Metrics of the stack that no rule asks for.
MORE_METRICS = {
    *("ALERTS", "alertmanager_notifications_total", "scrape_samples_scraped"),
    "otelcol_receiver_accepted_spans_total",
    *("prometheus_notifications_alertmanagers_discovered", "prometheus_tsdb_head_series"),
    *("prometheus_rule_group_last_duration_seconds", "prometheus_tsdb_storage_blocks_bytes"),
}
BOARDS = {
    board["uid"]: board
    for board in (json.loads(file.read_text()) for file in DASHBOARDS.glob("*.json"))
}
each_runbook = pytest.mark.parametrize("book", RUNBOOKS.values(), ids=lambda book: book.name)


def links(name: str) -> dict[str, str]:
    """An alert's links with a word in place of each label."""
    found = alerts()[name]["annotations"].items()
    return {key: re.sub(r"{{.*?}}", "", text) for key, text in found if key.endswith("_url")}


def test_there_is_one_for_each_alert_and_no_other() -> None:
    assert set(RUNBOOKS) == set(alerts())


@each_runbook
def test_a_runbook_has_the_same_shape_as_all(book: Runbook) -> None:
    assert book.text.startswith(f"# {book.name}\n")
    assert list(book.sections) == HEADINGS
    assert "**" in book.sections["What it means"], "says in bold what it means for users"


@each_runbook
def test_it_says_three_things_to_look_at_first(book: Runbook) -> None:
    steps = re.findall(r"^\d\. ", book.sections["Look first"], re.MULTILINE)
    blocks = book.blocks("Look first", "promql") + book.blocks("Look first", "bash")

    assert steps == ["1. ", "2. ", "3. "]
    assert len(blocks) == 3


@each_runbook
def test_it_says_how_to_silence_its_alert_and_for_how_long(book: Runbook) -> None:
    (command,) = book.blocks("Silence", "bash")

    assert re.match(rf'make silence ALERT={book.name} FOR=\d+[mhd] WHY="[^"]{{5,}}"', command)


@each_runbook
def test_it_asks_for_metrics_that_exist(book: Runbook) -> None:
    asked = {name for query in book.blocks("Look first", "promql") for name in metrics(query)}

    assert asked <= known_metrics() | MORE_METRICS


def test_promtool_can_read_every_query(tmp_path: Path) -> None:
    queries = [query for book in RUNBOOKS.values() for query in book.blocks("Look first", "promql")]
    rules = [{"record": f"q:{number}", "expr": text} for number, text in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    result = promtool("check", "rules", "--lint=none", str(file))

    assert result.returncode == 0, result.stderr


@each_runbook
def test_it_names_the_dashboard_that_its_alert_leads_to(book: Runbook) -> None:
    uid = urlsplit(links(book.name)["dashboard_url"]).path.removeprefix("/d/")

    (named,) = re.findall(r"^Dashboard: (.+)\.$", book.text, re.MULTILINE)
    assert named == BOARDS[uid]["title"]


@pytest.mark.parametrize("name", alerts())
def test_the_link_of_an_alert_sets_variables_that_its_dashboard_has(name: str) -> None:
    url = urlsplit(links(name)["dashboard_url"])

    variables = {
        each["name"] for each in BOARDS[url.path.removeprefix("/d/")]["templating"]["list"]
    }
    given = [key for key, _ in parse_qsl(url.query, keep_blank_values=True)]
    assert given[:2] == ["from", "to"]
    assert {key.removeprefix("var-") for key in given[2:]} <= variables


@pytest.mark.parametrize("name", alerts())
def test_the_link_to_jaeger_searches_a_service_and_nothing_that_jaeger_does_not_know(
    name: str,
) -> None:
    query = parse_qsl(urlsplit(links(name)["traces_url"]).query, keep_blank_values=True)

    assert ("service", "expense-tracker-api") in query
    assert {key for key, _ in query} <= {"lookback", "service", "operation", "tags", "minDuration"}


@each_runbook
def test_every_file_that_it_names_exists(book: Runbook) -> None:
    root = HERE.parent
    named = re.findall(r"\b((?:monitoring|tests|docs|tools|testing)/[\w./-]*\w/?)", book.text)
    linked = re.findall(r"\]\(([^)#:]+)\)", book.text)

    assert [path for path in named if not (root / path).exists()] == []
    assert [path for path in linked if not (HERE / "runbooks" / path).exists()] == []
