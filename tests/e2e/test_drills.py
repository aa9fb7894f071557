"""Five of the drills, and the panels that only they give data; ``make drill`` runs all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.tools.build import find
from scripts.drill.faults import BY_NAME
from scripts.drill.field import Field
from scripts.drill.run import drill
from tests.e2e.dashboards import NEEDS_FAULT, needing

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CHOSEN = ("database-stopped", "all-errors", "instance-stopped", "series-flood", "jaeger-down")


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    missing = [name for name in ("prometheus", "alertmanager", "jaeger") if find(name) is None]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)} (make tools)")
    environment = dict(os.environ)
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-drill-"))
    it = Field(folder, 30, lambda _line: None)
    try:
        it.start()
        yield it
    finally:
        it.stop()
        os.environ.update(environment)
        shutil.rmtree(folder, ignore_errors=True)


def test_the_faults_that_panels_need_are_among_them() -> None:
    assert set(NEEDS_FAULT.values()) <= set(CHOSEN)


@pytest.mark.parametrize("name", CHOSEN)
def test_the_fault_raises_its_alert_and_no_other(field: Field, name: str) -> None:
    began = time.time()

    result = drill(field, BY_NAME[name])  # a machine that does other things may be late

    assert result.problems == []
    assert without_data(field, name, began) == []


def without_data(field: Field, name: str, began: float) -> list[str]:
    """Queries of panels that this fault is said to give data, and that had none since."""
    span = {"start": f"{began:.0f}", "end": f"{time.time():.0f}", "step": "1"}
    return [
        query
        for query in needing(name)
        if not field.prometheus("query_range", query=query, **span)["result"]
    ]
