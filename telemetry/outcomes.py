"""What all requests with the same method, route and status share, made once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from telemetry.logs.request_line import Template
from telemetry.methods import OTHER
from telemetry.metrics import definitions as metrics
from telemetry.metrics.metric import CounterChild
from telemetry.metrics.slots import store
from telemetry.routes import STATIC, UNMATCHED, WITHOUT_ROUTE, templates
from telemetry.tracing.light import Fixed

logger = logging.getLogger(__name__)

#: Routes of the URLconf whose series start at 0; those of a larger project begin, all outcomes of a
#: route at once, with its first request.
ROUTES_AT_ZERO = 1000

#: Methods, routes and statuses come from closed sets; this bound is for the unforeseen.
_MOST = 10_000


class Outcome:
    """The series, texts and attributes of such requests."""

    __slots__ = (
        "db_queries",
        "db_seconds",
        "duration",
        "events",
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
        self.span_name = _span_name(method, route)
        # A rate of errors is 0 and not absent until the first one comes.
        metrics.HTTP_REQUESTS.child(method, route, "500")
        self.requests = metrics.HTTP_REQUESTS.child(method, route, str(status))
        self.duration = metrics.HTTP_REQUEST_DURATION.child(method, route)
        start_route_at_zero(route)
        #: Counters that each such request adds 1 to, beside ``requests``.
        self.events: tuple[CounterChild, ...] = tuple(_events(route, status))
        self.db_queries = metrics.HTTP_REQUEST_DATABASE_QUERIES.child(method, route)
        self.db_seconds = metrics.HTTP_REQUEST_DATABASE_SECONDS.child(method, route)
        #: Attributes of their spans, by what else is the same in nearly all of them.
        self.fixed: dict[tuple[Any, ...], Fixed] = {}


def _span_name(method: str, route: str) -> str:
    """As OpenTelemetry's instrumentation names it: ``HTTP`` where the method is none of HTTP's."""
    if method == OTHER:
        return "HTTP"
    return method if route in WITHOUT_ROUTE else f"{method} {route}"


_outcomes: dict[tuple[str, str, int], Outcome] = {}


def outcome_of(method: str, route: str, status: int) -> Outcome:
    key = (method, route, status)
    known = _outcomes.get(key)
    if known is None:
        if len(_outcomes) >= _MOST:
            _outcomes.clear()
        known = _outcomes[key] = Outcome(method, route, status)
    return known


def _events(route: str, status: int) -> Iterator[CounterChild]:
    yield metrics.HTTP_RESPONSES.child(route, metrics.outcome_of_status(status))
    if status >= 400 and route != STATIC:
        text = str(status)
        if text not in metrics.ERROR_STATUSES:
            text = "4xx" if status < 500 else "5xx"
        yield metrics.HTTP_ERROR_RESPONSES.child(text)


def start_route_at_zero(route: str) -> None:
    """Make every series of a route whose first sample could be a failure."""
    for outcome in metrics.OUTCOMES:
        metrics.HTTP_RESPONSES.child(route, outcome)
    metrics.HTTP_REPEATED_QUERIES.child(route)


def start_at_zero() -> None:
    """Do so for the routes of the URLconf, which is imported for it.

    A URLconf that cannot be imported is one WARNING: Django says the same at each request.
    """
    start_route_at_zero(UNMATCHED)
    start_route_at_zero(STATIC)
    room = store.series_limit // len(metrics.OUTCOMES) - len(WITHOUT_ROUTE)
    try:
        for route in islice(templates(), max(0, min(ROUTES_AT_ZERO, room))):
            start_route_at_zero(route)
    except Exception:
        logger.warning(
            "the URLconf could not be loaded: series of its routes begin with their first request",
            exc_info=True,
        )
