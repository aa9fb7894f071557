"""The table of faults, held against the alerts."""

from __future__ import annotations

import pytest

from scripts.drill import quiet
from scripts.drill.faults import FAULTS, Fault
from scripts.drill.run import RULES


def test_there_are_twenty_faults_at_least() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_names_alerts_that_exist(fault: Fault) -> None:
    assert {fault.alert, *fault.companions} <= set(RULES)
    assert bool(fault.lag) == bool(fault.because)


def test_the_quiet_hour_is_an_hour() -> None:
    assert sum(phase.minutes for phase in quiet.PHASES) == 60


def test_nothing_critical_is_expected_of_a_healthy_day() -> None:
    assert all(RULES[name]["labels"]["severity"] == "warning" for name in quiet.EXPECTED)
    assert quiet.unexpected({"HighErrorRate": ["critical", ""]}) == ["HighErrorRate"]
