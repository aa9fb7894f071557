"""The tables of the docs, written from the code: ``python -m scripts.tables variables|metrics``."""

from __future__ import annotations

import sys
from typing import Any

from config.environment import VARIABLES as PROJECT
from telemetry.environment import Variable
from telemetry.metrics.definitions import DEFINITIONS
from telemetry.settings import VARIABLES as TELEMETRY


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
    if value is None or (isinstance(value, str | tuple | dict) and not value):
        return "-"
    if isinstance(value, bool):
        return "`1`" if value else "`0`"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def metrics() -> str:
    """Every metric that telemetry keeps."""
    lines = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for metric in DEFINITIONS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.documentation} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print({"variables": variables, "metrics": metrics}[sys.argv[1]]())
