"""The docs say what the code says."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.curves import load, table
from scripts import tables
from telemetry import gunicorn as telemetry_gunicorn
from telemetry.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "monitoring/runbooks").glob("*.md"))


def test_the_table_of_variables_is_that_of_the_code() -> None:
    assert tables.variables() in (ROOT / "docs/configuration.md").read_text()


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert tables.settings() in (ROOT / "docs/telemetry.md").read_text()


def test_every_setting_stands_in_the_table_with_a_meaning() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| .+ \| (.*) \|$", tables.settings(), re.MULTILINE)

    assert [name for name, _meaning in rows] == [field.name for field in fields(Settings)]
    assert all(len(meaning) > 10 for _name, meaning in rows)


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    assert tables.metrics() in (ROOT / "docs/telemetry.md").read_text()


def test_the_table_of_costs_is_that_of_the_measurements() -> None:
    assert tables.costs() in (ROOT / "docs/telemetry.md").read_text()


@pytest.mark.parametrize(
    "table", [tables.alerts, tables.objectives, tables.burns, tables.dashboards]
)
def test_the_tables_of_the_stack_are_those_of_the_code(
    table: Callable[[], str],
) -> None:
    assert table() in (ROOT / "docs/monitoring.md").read_text()


def test_the_table_of_stand_in_images_is_that_of_the_code() -> None:
    assert tables.stand_ins() in (ROOT / "docs/containers.md").read_text()


def test_the_file_for_uvicorn_is_the_one_that_is_used() -> None:
    assert (ROOT / "config/uvicorn.json").read_text() in (ROOT / "docs/telemetry.md").read_text()


def test_the_lines_for_gunicorn_are_those_that_the_server_tests_use() -> None:
    used = (ROOT / "tests/telemetry/site/gunicorn.conf.py").read_text()
    _, _, told = (telemetry_gunicorn.__doc__ or "").partition("::\n\n")

    assert textwrap.dedent(told).strip() == used.partition('"""\n\n')[2].strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"`make ([a-z-]+)[ `]|^make ([a-z-]+)[ \n]", page.read_text(), re.MULTILINE)

    assert {first or second for first, second in named} <= targets


def test_the_guide_of_troubles_has_symptom_check_and_mend_for_each() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text()
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    sections.pop("Ask the doctor first")

    brief = (
        "Jaeger does not receive",
        "Prometheus does not scrape",
        "Grafana's dash",
        "High memory",
    )
    for trouble in brief:
        assert any(name.startswith(trouble) for name in sections)
    for name, section in sections.items():
        found = [section.find(f"**{word}**") for word in ("Symptom", "Check", "Mend")]
        assert found == sorted(found), name
        assert found[0] >= 0, name


def test_the_tables_of_the_knobs_are_what_was_measured() -> None:
    text = (ROOT / "docs/tuning.md").read_text()
    curves = load(ROOT / "docs/tuning.json")

    assert len(curves) >= 7
    for name, curve in curves.items():
        assert f"{table(curve)}\n\n{curve.machine}" in text, name
