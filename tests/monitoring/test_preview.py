"""The pictures of the dashboards: numbers as people read them, and what a picture shows."""

from __future__ import annotations

import json

import pytest

from monitoring.grafana.drawing import heading, human
from monitoring.grafana.generate import FOLDER
from monitoring.grafana.preview import chosen
from monitoring.grafana.source import Source


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "shown"),
    [
        (0.02, "short", 0, "0.02"),
        (-0.02, "short", 0, "-0.02"),
        (0.0, "short", 0, "0"),
        (1234.4, "short", 0, "1,234"),
        (0.6, "short", 0, "1"),
        (0.02, "short", None, "0.02"),
        (0.00002, "short", None, "0.00002"),
        (1_250, "short", None, "1.25k"),
        (3_400_000, "short", None, "3.4M"),
        (999.9, "short", None, "1k"),
        (0.0002, "percentunit", None, "0.02 %"),
        (1.0, "percentunit", None, "100 %"),
        (0.00002, "s", None, "0.02 ms"),
        (0.02, "s", None, "20 ms"),
        (2.5, "s", None, "2.5 s"),
        (0.02, "reqps", None, "0.02 req/s"),
        (20_000, "decbytes", None, "0.02 MB"),
        (float("nan"), "short", 0, "-"),
    ],
)
def test_numbers_are_shown_as_they_are(
    value: float, unit: str, decimals: int | None, shown: str
) -> None:
    assert human(value, unit, decimals) == shown


def test_the_heading_names_variables_time_range_and_time_zone() -> None:
    board = json.loads((FOLDER / "endpoint-detail.json").read_text())
    source = Source("http://localhost", 1_700_000_000, 1_700_000_900)
    source.variables = chosen(board, "/api/v1/categories/")

    assert heading(board, source) == (
        "Job: expense-tracker-api   |   Instance: all   |   Endpoint: /api/v1/categories/   |   "
        "2023-11-14 22:13 to 22:28 UTC (15 minutes)"
    )
    source.begin -= 86_400
    assert "2023-11-13 22:13 to 2023-11-14 22:28 UTC (1455 minutes)" in heading(board, source)
