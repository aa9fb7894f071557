"""The dashboards' queries as Prometheus is asked them, and which of them need a fault."""

from __future__ import annotations

import re
from typing import Any

from tests.monitoring.test_dashboard_lint import targets
from tests.monitoring.test_dashboards import BOARDS

#: Queries that only trouble gives data, by how they begin: the drill that makes it.
#: ``test_drills.py`` runs each of these drills and sees the data.
NEEDS_FAULT = {
    "sum by (type) (rate(database_errors_total": "all-errors",
    "sum by (metric) (increase(telemetry_series_dropped_total": "series-flood",
}
_VARIABLES = {
    "$job": ".+",
    "$instance": ".+",
    # One of all: which endpoint a person chooses is not known here.
    '="$endpoint"': '=~".+"',
    "$endpoint": ".+",
    "$slo": ".+",
    "$__rate_interval": "20s",
}


def filled(query: str) -> str:
    """A query with values in place of its variables."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    return query


def queries() -> dict[str, str]:
    """Every query of every panel, filled, and where it stands."""
    return {filled(query): where for where, query in targets()}


def needing(fault: str) -> list[str]:
    """The queries that this drill gives data."""
    begins = tuple(begin for begin, name in NEEDS_FAULT.items() if name == fault)
    return [query for query in queries() if query.startswith(begins)] if begins else []


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
