"""Five of the drills; ``make drill`` runs all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.tools.build import find
from tools.drill import series
from tools.drill.drill import drill
from tools.drill.faults import BY_NAME, FAULTS
from tools.drill.field import Field
from tools.drill.run import FACTOR

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CHOSEN = ("database-stopped", "all-errors", "instance-stopped", "series-flood", "jaeger-down")


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    missing = [name for name in ("prometheus", "alertmanager", "jaeger") if find(name) is None]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)} (make tools)")
    environment = dict(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-drill-"))
    it = Field(folder, FACTOR, lambda _line: None)
    try:
        it.start()
        yield it
    finally:
        it.stop()
        os.environ.update(environment)
        shutil.rmtree(folder, ignore_errors=True)


def test_no_series_of_any_fault_is_touched_by_traffic_or_by_the_start(field: Field) -> None:
    """What each drill asserts before its own fault, for all faults at once."""
    field.renew()
    moves = tuple({str(each): each for fault in FAULTS for each in fault.moves}.values())

    assert series.touched(moves, field.metrics_urls()) == []

    field.get("/api/v1/demo/faults/error/", second=True)
    touched = series.touched(moves, field.metrics_urls())
    assert any(each.startswith("errors_total is 1 at ") for each in touched), touched


def test_the_faults_that_panels_need_are_among_them() -> None:
    assert {fault.name for fault in FAULTS if fault.panels} <= set(CHOSEN)


@pytest.mark.parametrize("name", CHOSEN)
def test_the_fault_raises_its_alert_and_no_other(field: Field, name: str) -> None:
    result = drill(field, BY_NAME[name])  # a machine that does other things may be late

    assert result.problems == []
