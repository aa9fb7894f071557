"""Panels of dashboards that only a fault gives data: while it is on, they must show it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from monitoring.render import HERE, duration
from tools.drill.field import Field, poll

_VARIABLES = {
    "$job": ".+",
    "$instance": ".+",
    # One of all: which endpoint a person chooses is not known here.
    '="$endpoint"': '=~".+"',
    "$endpoint": ".+",
    "$slo": ".+",
}


def queries() -> Iterator[tuple[str, str]]:
    """Where a query stands, and the query, of every panel of every dashboard."""
    for file in sorted((HERE / "grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.stem}: {panel['title']}", target["expr"]


def filled(query: str, interval: str) -> str:
    """The query as Grafana would send it, with everything chosen."""
    for name, value in (_VARIABLES | {"$__rate_interval": interval}).items():
        query = query.replace(name, value)
    return query


def empty(it: Field, metrics: tuple[str, ...]) -> list[str]:
    """Panels that ask for one of these metrics and show nothing."""
    # Four scrapes, as Grafana takes them; it has to be told as it is not asked.
    interval = duration(4 * it.scrape)
    wanted = [
        (where, filled(query, interval))
        for where, query in queries()
        if any(metric in query for metric in metrics)
    ]

    def all_shown() -> bool:
        wanted[:] = [
            (where, query)
            for where, query in wanted
            if not it.prometheus("query", query=query)["result"]
        ]
        return not wanted

    try:
        poll(all_shown, 10 * it.scrape, lambda: "")
    except RuntimeError:
        return [f"no data in {where}: {query}" for where, query in wanted]
    return []
