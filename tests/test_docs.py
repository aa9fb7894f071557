"""The docs say what the code says."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from benchmarks.curves import load, table
from telemetry import gunicorn as telemetry_gunicorn
from telemetry.settings import Settings
from tools.docs import tables

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "monitoring/runbooks").glob("*.md"))
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)
#: What is in the repository and stands at the beginning of a path.
FOLDERS = "benchmarks|config|docs|expenses|monitoring|requirements|telemetry|testing|tests|tools"


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


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text())

    assert [
        (file, anchor)
        for file, anchor in links
        if anchor not in headings(page.parent / file if file else page)
    ] == []


@each_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(rf"`((?:{FOLDERS})/[\w./*-]*)`", page.read_text())

    assert [name for name in named if not list(ROOT.glob(name.rstrip("/")))] == []


@each_page
def test_every_module_that_is_run_exists(page: Path) -> None:
    text = page.read_text()
    named = re.findall(rf"python -m ((?:{FOLDERS})(?:\.\w+)+)", text)

    def exists(module: str) -> bool:
        path = ROOT / module.replace(".", "/")
        return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()

    assert [module for module in named if not exists(module)] == []


@each_page
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
