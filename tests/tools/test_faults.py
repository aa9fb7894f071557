"""The table of faults, held against the alerts."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from monitoring.render import HERE
from tools.drill import page, panels, quiet
from tools.drill.fault import RULES, Fault
from tools.drill.faults import BY_NAME, FAULTS
from tools.drill.series import Series


def test_there_are_twenty_faults_at_least() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_names_alerts_that_exist(fault: Fault) -> None:
    assert {fault.alert, *fault.companions} <= set(RULES)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_gives_a_reason_for_time_and_company(fault: Fault) -> None:
    assert bool(fault.lag or fault.window) == bool(fault.because)
    assert all(len(reason) > 10 for reason in fault.companions.values())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_names_the_series_that_it_moves_or_says_why_there_is_none(fault: Fault) -> None:
    assert bool(fault.moves) != bool(fault.moves_nothing)


def test_a_series_is_summed_over_the_labels_that_match() -> None:
    samples = [
        ("a_total", {"status": "500", "method": "GET"}, 2.0),
        ("a_total", {"status": "503"}, 1.0),
        ("a_total", {"status": "200"}, 8.0),
        ("a_total_more", {"status": "500"}, 16.0),
    ]

    assert Series("a_total", {"status": "5.."}).value(samples) == 3
    assert Series("a_total", {"status": "5"}).value(samples) == 0
    assert Series("b_total").value(samples) == 0


def test_an_alert_may_take_its_hold_two_scrapes_and_one_evaluation() -> None:
    fault = BY_NAME["instance-stopped"]

    assert fault.allowed(speed=1, scrape=15) == 60 + 2 * 15 + 15


def test_an_alert_whose_group_nobody_joins_is_told_once() -> None:
    assert BY_NAME["all-errors"].most_told == 1
    assert BY_NAME["endpoint-errors"].most_told == 1
    # Both instances may be in the group of one, other warnings in that of the other.
    assert BY_NAME["database-stopped"].most_told == 2
    assert BY_NAME["database-slow"].most_told == 2


def test_the_quiet_hour_is_an_hour() -> None:
    assert sum(phase.minutes for phase in quiet.PHASES) == 60


def test_nothing_critical_is_expected_of_a_healthy_day() -> None:
    assert all(RULES[name]["labels"]["severity"] == "warning" for name in quiet.EXPECTED)
    assert quiet.unexpected({"HighErrorRate": ["critical", ""]}) == ["HighErrorRate"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_runbook_of_an_alert_tells_of_its_drill(fault: Fault) -> None:
    assert f"`{fault.name}`" in (HERE / f"runbooks/{fault.alert}.md").read_text()


def test_panels_that_need_a_fault_ask_for_what_it_gives() -> None:
    queries = [query for _where, query in panels.queries()]

    for metric in (metric for fault in FAULTS for metric in fault.panels):
        assert any(metric in query for query in queries), metric


@pytest.mark.parametrize("table", [page.faults, page.companions])
def test_the_page_has_the_tables_of_the_code(table: Callable[[], str]) -> None:
    assert table() in page.PAGE.read_text()


def test_the_page_has_a_result_of_every_fault_or_says_that_there_is_none() -> None:
    results = page.PAGE.read_text().partition(page.RESULTS)[2]
    named = re.findall(r"^\| `([a-z-]+)` ", results, re.MULTILINE)
    without = re.findall(r"`([a-z-]+)`", page.not_run(results))

    assert set(named) | set(without) == set(BY_NAME)
    assert page.not_run(results).strip() in results
