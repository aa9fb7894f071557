"""What all requests with the same method, route and status share, made once."""

from __future__ import annotations

from typing import Any

from telemetry.logs.request_line import Template
from telemetry.metrics import definitions as metrics
from telemetry.tracing.light import Fixed

#: Methods, routes and statuses come from closed sets; this bound is for the unforeseen.
_MOST = 10_000


class Outcome:
    """The series, texts and attributes of such requests."""

    __slots__ = (
        "db_queries",
        "db_seconds",
        "duration",
        "fixed",
        "line",
        "method",
        "requests",
        "route",
        "span_name",
        "status",
    )

    def __init__(self, method: str, route: str, status: int) -> None:
        self.method = method
        self.route = route
        self.status = status
        self.line = Template(method, route, status)
        self.span_name = method if route == "unmatched" else f"{method} {route}"
        # A rate of errors is 0 and not absent until the first one comes.
        metrics.HTTP_REQUESTS.child(method, route, "500")
        self.requests = metrics.HTTP_REQUESTS.child(method, route, str(status))
        self.duration = metrics.HTTP_REQUEST_DURATION.child(method, route)
        self.db_queries = metrics.HTTP_REQUEST_DATABASE_QUERIES.child(method, route)
        self.db_seconds = metrics.HTTP_REQUEST_DATABASE_SECONDS.child(method, route)
        #: Attributes of their spans, by what else is the same in nearly all of them.
        self.fixed: dict[tuple[Any, ...], Fixed] = {}


_outcomes: dict[tuple[str, str, int], Outcome] = {}


def outcome_of(method: str, route: str, status: int) -> Outcome:
    key = (method, route, status)
    known = _outcomes.get(key)
    if known is None:
        if len(_outcomes) >= _MOST:
            _outcomes.clear()
        known = _outcomes[key] = Outcome(method, route, status)
    return known
