"""The tables of the docs, written from the code.

``python -m tools.docs.tables NAME``, a function of this module: variables, settings, metrics,
costs, alerts, objectives, burns, dashboards or stand_ins; without a name (``make tables``) all of
them are written into the pages that show them.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from config.environment import VARIABLES as PROJECT
from monitoring.alerts.generate import ALERTS
from monitoring.alerts.table import FAST_BURN, OBJECTIVES, PERIOD, SLOW_BURN
from monitoring.render import HERE as MONITORING
from monitoring.render import seconds
from telemetry.environment import Variable
from telemetry.metrics.definitions import DEFINITIONS
from telemetry.settings import VARIABLES as TELEMETRY
from telemetry.settings import Settings
from tools.containers.images import BY_REPOSITORY, pinned

DOCS = Path(__file__).resolve().parents[2] / "docs"


def variables() -> str:
    """Every environment variable with its default and meaning."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{variable.name}` | {_default(variable)} | {variable.meaning} |"
        for variable in sorted((*PROJECT, *TELEMETRY), key=lambda each: each.name)
    ]
    return "\n".join(lines)


def _default(variable: Variable[Any]) -> str:
    value = variable.default
    if variable.general is not None:
        return f"`{variable.general.name}`"
    if value is None or (isinstance(value, str | tuple | dict) and not value):
        return "-"
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def settings() -> str:
    """Every key of ``TELEMETRY`` with its default and the comment above it."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    meaning = ""
    for line in inspect.getsource(Settings).splitlines():
        text = line.strip()
        if text.startswith("#: "):
            meaning = f"{meaning} {text[3:]}".strip()
        elif found := re.match(r"([A-Z_]+): ", text):
            default = getattr(Settings, found[1])
            lines.append(f"| `{found[1]}` | {_setting(default)} | {meaning.replace('``', '`')} |")
            meaning = ""
    return "\n".join(lines)


def _setting(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value) or "-"
    return f"`{value!r}`" if isinstance(value, bool) else f"`{value}`"


def metrics() -> str:
    """Every metric that telemetry keeps."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in DEFINITIONS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.documentation} |")
    return "\n".join(lines)


def costs() -> str:
    """What the usual assembly and telemetry cost, as the page of measurements has it."""
    text = (DOCS / "performance.md").read_text()
    added = {
        (request, variant, unit): (int(number), share)
        for request, variant, unit, number, share in _ADDED.findall(text)
    }
    lines = ["| | usual assembly | telemetry | share |", "|---|---|---|---|"]
    for unit, what in (("k instructions", "instructions"), ("µs CPU", "CPU time")):
        for request in ("detail", "list"):
            usual, _ = added[request, "reference assembly", unit]
            for variant, sampled in (
                ("telemetry", "every trace"),
                ("telemetry, 1 % sampled", "1 %"),
            ):
                if (request, variant, unit) not in added:
                    continue
                ours, share = added[request, variant, unit]
                short = unit.split()[0]
                lines.append(
                    f"| {what} added to a {request} request, {sampled} sampled "
                    f"| {usual:,} {short} | {ours:,} {short} | {share} |"
                )
    for workers, endpoints, block in _SCRAPED.findall(text):
        ours, share, theirs = _ALL_CHANGED.findall(block)[-1]
        lines.append(
            f"| a scrape of {workers} workers with {endpoints} endpoints, every number changed "
            f"| {theirs} ms | {ours} ms | {share} |"
        )
    return "\n".join(lines)


_VARIANTS = {"telemetry": "every trace", "telemetry, 1 % sampled": "1 %"}
_ADDED = re.compile(
    r"^(detail|list) +(\S.*?) +\d+ (k instructions|µs CPU) a request, adds +(\d+), +([\d.]+) ",
    re.MULTILINE,
)
_SCRAPED = re.compile(r"^(\d+) processes, (\d+) endpoints, \d+ lines\n((?:  .*\n)+)", re.MULTILINE)
_ALL_CHANGED = re.compile(
    r"100% changed, OpenMetrics.*?: ([\d.]+) ms, ([\d.]+) of prometheus_client's (\d+) ms"
)


def alerts() -> str:
    """Every alert with the first sentence of its runbook."""
    lines = ["| alert | severity | team | for | means |", "|---|---|---|---|---|"]
    for alert in (alert for found in ALERTS.values() for alert in found):
        rule = alert.rule()
        page = f"runbooks/{alert.name}.md"
        text = (MONITORING / page).read_text().partition("## What it means")[2]
        means = " ".join(text.replace("**", "").split()).partition(". ")[0]
        labels = rule["labels"]
        lines.append(
            f"| [{alert.name}](../monitoring/{page}) | {labels['severity']} | {labels['team']} "
            f"| {rule.get('for', '-')} | {means} |"
        )
    return "\n".join(lines)


def objectives() -> str:
    """What is promised for each group of endpoints."""
    lines = [
        f"| objective | endpoints | answered without 5xx over {PERIOD} | answered in time |",
        "|---|---|---|---|",
    ]
    for each in OBJECTIVES:
        endpoints = each.endpoints.replace("|", "\\|")
        lines.append(
            f"| {each.name} | `{endpoints}` | {each.availability * 100:g} % "
            f"| {each.latency * 100:g} % within {each.seconds:g} s |"
        )
    return "\n".join(lines)


def burns() -> str:
    """When a budget that burns is told, and how much of it is gone by then."""
    lines = [
        "| alert | long window | short window | burns faster than | of the budget by then |",
        "|---|---|---|---|---|",
    ]
    for alert, found in (("ErrorBudgetFastBurn", FAST_BURN), ("ErrorBudgetSlowBurn", SLOW_BURN)):
        for burn in found:
            used = burn.factor * seconds(burn.long) / seconds(PERIOD)
            lines.append(
                f"| {alert} | {burn.long} | {burn.short} | {burn.factor:g} times | {used:.0%} |"
            )
    return "\n".join(lines)


def dashboards() -> str:
    """Every dashboard with its question and what it can be narrowed to."""
    lines = ["| dashboard | question | variables |", "|---|---|---|"]
    for file in sorted((MONITORING / "grafana/dashboards").glob("*.json")):
        board = json.loads(file.read_text())
        chosen = [each["name"] for each in board["templating"]["list"] if each["type"] == "query"]
        lines.append(f"| {board['title']} | {board['description']} | {', '.join(chosen)} |")
    return "\n".join(lines)


def stand_ins() -> str:
    """Every image that can be made without a registry, and how it differs from the official one."""
    lines = ["| image | how the stand-in differs from the official one |", "|---|---|"]
    for image in pinned():
        stand_in = BY_REPOSITORY[image.partition(":")[0]]
        lines.append(f"| `{image}` | {stand_in.differs} |")
    return "\n".join(lines)


_ALL = (variables, settings, metrics, costs, alerts, objectives, burns, dashboards, stand_ins)
TABLES = {each.__name__: each for each in _ALL}


def write() -> None:
    """Bring each table of the pages up to date. A table is known by its head."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        for table in _ALL:
            new = table()
            head = "\n".join(new.splitlines()[:2])
            old = re.compile(rf"^{re.escape(head)}\n(?:\|.*(?:\n|$))*", re.MULTILINE)
            # No escapes: the tables hold backslashes.
            text = old.sub(f"{new}\n".replace("\\", r"\\"), text)
        if text != page.read_text():
            page.write_text(text)
            print(f"written: {page.relative_to(DOCS.parent)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(TABLES[sys.argv[1]]())
    else:
        write()
