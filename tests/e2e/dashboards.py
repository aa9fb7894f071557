"""The dashboards' queries as Prometheus is asked them, and which of them need a fault."""

from __future__ import annotations

import re
from typing import Any

from tests.monitoring.test_dashboards import BOARDS
from tools.drill import panels
from tools.drill.faults import FAULTS


def filled(query: str) -> str:
    """A query with values in place of its variables."""
    return panels.filled(query, "20s")


def queries() -> dict[str, str]:
    """Every query of every panel, filled, and where it stands."""
    return {filled(query): where for where, query in panels.queries()}


def needing_fault() -> set[str]:
    """The queries that only trouble gives data; the drill that makes it asks them."""
    metrics = [metric for fault in FAULTS for metric in fault.panels]
    return {query for query in queries() if any(metric in query for metric in metrics)}


def annotations() -> dict[str, set[str]]:
    """The queries of the annotations, filled, by their name."""
    found: dict[str, set[str]] = {}
    for board in BOARDS.values():
        for each in board["annotations"]["list"]:
            found.setdefault(each["name"], set()).add(filled(each["expr"]))
    return found


def variables() -> dict[str, tuple[str, str]]:
    """Series and label of every variable, by dashboard and name."""
    found = {}
    for board in BOARDS.values():
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                found[f"{board['uid']}: {variable['name']}"] = parts(variable)
    return found


def parts(variable: dict[str, Any]) -> tuple[str, str]:
    match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
    assert match, variable
    return filled(match[1]), match[2]
