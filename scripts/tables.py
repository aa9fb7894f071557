"""The tables of the docs, written from the code.

``python -m scripts.tables variables|settings|metrics``
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from config.environment import VARIABLES as PROJECT
from telemetry.environment import Variable
from telemetry.metrics.definitions import DEFINITIONS
from telemetry.settings import VARIABLES as TELEMETRY
from telemetry.settings import Settings


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


if __name__ == "__main__":
    print({"variables": variables, "settings": settings, "metrics": metrics}[sys.argv[1]]())
