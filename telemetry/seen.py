"""One request from its arrival to the end of its answer: span, metrics, log line, headers."""

# ruff: noqa: BLE001  what is caught here is logged when the request is finished

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from telemetry import request_span, settings
from telemetry.clients import client_ip, loaded_user
from telemetry.context import Operation, current
from telemetry.correlation import HEADER, accepted
from telemetry.db.queries import kept
from telemetry.logs import request_line, structlog_context
from telemetry.logs.exceptions import fields_of
from telemetry.methods import METHODS, OTHER, known_method
from telemetry.metrics import definitions as metrics
from telemetry.metrics.batch import record
from telemetry.metrics.metric import GaugeChild
from telemetry.outcomes import Outcome, outcome_of
from telemetry.routes import UNMATCHED, endpoint
from telemetry.tracing import here

logger = logging.getLogger(__name__)

#: What nginx writes when the client went away before the answer; no standard code fits.
CLIENT_CLOSED = 499
_LONGEST_PATH = 1024
#: What most requests take: to look it up takes a third of a float's format.
_TENTHS = tuple(f"{number / 10:.1f}" for number in range(1000))
_CORRELATION, _TIMING = HEADER.lower(), "server-timing"


#: Their gauge, by method.
_in_progress: dict[str, GaugeChild] = {}


def _progress_of(method: str) -> GaugeChild:
    found = _in_progress[method] = metrics.HTTP_REQUESTS_IN_PROGRESS.child(method)
    return found


class SeenRequest:
    """What the middleware holds while a request is answered."""

    __slots__ = (
        "_context",
        "_context_before",
        "_failure",
        "_finished",
        "_in_progress",
        "_tokens",
        "_took",
        "is_staff",
        "method",
        "operation",
        "request",
        "span",
        "started",
        "user_id",
    )

    def __init__(self, request: HttpRequest) -> None:
        self.started = time.perf_counter_ns()
        self.request = request
        #: The key of the user, where the view or a middleware loaded one.
        self.user_id: Any = None
        self.is_staff = False
        self._finished = False
        self._failure: tuple[str, BaseException | None] | None = None
        #: Nanoseconds.
        self._took = 0
        self._tokens: tuple[Any, Any] | None = None
        #: What the request's code bound by ``structlog.contextvars``, and what was bound before it.
        self._context: dict[str, Any] = {}
        self._context_before: dict[str, Any] = {}
        method = OTHER
        self.operation = operation = Operation("")
        try:
            named = request.method or ""
            method = named if named in METHODS else known_method(named)
            meta = request.META
            given = meta.get("HTTP_X_CORRELATION_ID")
            operation.correlation_id = (given and accepted(given)) or ""
            self.span = request_span.begin(operation, request, method)
            remote = meta.get("REMOTE_ADDR") or ""
            if "HTTP_X_FORWARDED_FOR" in meta or type(remote) is not str or ":" in remote:
                remote = client_ip(request)
            operation.client_ip = remote
        except Exception:
            # No server makes such a request; a test or a middleware of the project may.
            self.report("read")
            self.span = operation.span or request_span.begin_root(operation, OTHER)
        self.method = method
        self._in_progress = in_progress = _in_progress.get(method) or _progress_of(method)
        in_progress.inc()

    def report(self, what: str) -> None:
        """Remember the failure of telemetry that is being handled; the first one is logged when
        the request is finished."""
        if self._failure is None:
            self._failure = what, sys.exc_info()[1]

    def enter(self) -> None:
        """Make this the work that runs now, in this thread or task."""
        self._tokens = current.set(self.operation), here.attach(here.with_span(self.span))
        if structlog_context.variables:
            self._context_before = structlog_context.enter(self._context)

    def leave(self) -> None:
        if self._tokens is not None:
            operation, span = self._tokens
            self._tokens = None
            if structlog_context.variables:
                self._context = structlog_context.leave(self._context_before)
            # A coroutine that is closed by the garbage collector ends in another context.
            with suppress(ValueError):
                here.detach(span)
                current.reset(operation)

    def look_at(self, response: HttpResponseBase) -> None:
        """Take the user that the request loaded, and add our headers. Never raises."""
        try:
            self.user_id, self.is_staff = loaded_user(self.request)
        except Exception:
            self.report("tell the user of")
        try:
            self._add_headers(response)
        except Exception:
            self.report("add the headers of")

    def _add_headers(self, response: HttpResponseBase) -> None:
        """``X-Correlation-ID`` and ``Server-Timing`` (W3C Server Timing)."""
        operation = self.operation
        timing = f"total;dur={_milliseconds(time.perf_counter_ns() - self.started)}"
        if settings.debug() or (self.is_staff and settings.get().SERVER_TIMING_DATABASE == "staff"):
            timing += (
                f', db;dur={_milliseconds(operation.db_time)};desc="{operation.db_queries} queries"'
            )
        if operation.trace_id:
            flags = "01" if operation.sampled else "00"
            timing += f', traceparent;desc="00-{operation.trace_id}-{operation.span_id}-{flags}"'
        # Django's dictionary of headers checks and encodes each value; ours are plain ASCII.
        # Written into what is behind it, this method takes 15 thousand instructions, not 34.
        headers = response.headers._store  # noqa: SLF001
        headers[_CORRELATION] = (HEADER, operation.correlation_id)
        if given := headers.get(_TIMING):
            timing = f"{given[1]}, {timing}"
        headers[_TIMING] = ("Server-Timing", timing)

    def finish(self, status: int, response_bytes: int) -> None:
        """Record the request, once: metrics with the trace's exemplar, the span, the log line.

        Never raises: the view's work is done and committed, and no failure of telemetry may cost
        its answer. Each signal is recorded whatever happens to the others.
        """
        if self._finished:
            return
        self._finished = True
        self._took = time.perf_counter_ns() - self.started
        try:
            outcome = outcome_of(self.method, endpoint(self.request), status)
        except Exception:
            self.report("find the route of")
            outcome = outcome_of(self.method, UNMATCHED, status)
        try:
            self._count(outcome)
        except Exception:
            self.report("count")
        try:
            request_span.end(self.operation, self.request, outcome)
        except Exception:
            self.report("end the span of")
            with suppress(Exception):  # reported already
                request_span.end_bare(self.operation, outcome)
        try:
            self._log(outcome, response_bytes)
        except Exception:
            self.report("log")
        if self._failure is not None:
            what, error = self._failure
            self._failure = None
            logger.error("telemetry could not %s a request", what, exc_info=error)

    def _count(self, outcome: Outcome) -> None:
        operation = self.operation
        operation.finished = True
        observations = kept(operation)
        observations.append((outcome.requests, outcome.duration, self._took / 1e9))
        sums = (
            (outcome.db_queries, operation.db_queries),
            (outcome.db_seconds, operation.db_time / 1e9),
        )
        trace_id = operation.trace_id if operation.sampled else ""
        record(
            observations,
            trace_id,
            self._in_progress,
            sums if operation.db_queries else (),
            outcome.events,
        )
        if outcome.status >= 500:
            error = operation.error
            kind = "http_5xx" if error is None else type(error).__name__
            metrics.ERRORS.child(kind, outcome.route).inc()
        if operation.repeated:
            metrics.HTTP_REPEATED_QUERIES.child(outcome.route).inc(len(operation.repeated))

    def _log(self, outcome: Outcome, response_bytes: int) -> None:
        operation = self.operation
        status = outcome.status
        level = logging.INFO
        if status >= 500:
            level = logging.ERROR
        elif self._took > settings.get().SLOW_REQUEST_SECONDS * 1e9 or operation.repeated:
            level = logging.WARNING
        if not request_line.enabled(level):
            return
        request = self.request
        values = (
            request.path[:_LONGEST_PATH],
            status,
            self._took,
            operation.db_queries,
            operation.db_time,
            self.user_id,
            operation.client_ip,
            response_bytes,
        )
        more: dict[str, Any] = {}
        if status >= 400 or operation.repeated:
            more["fields"] = self._more(status)
        if operation.fields or self._context:
            more["bound"] = {**self._context, **operation.fields}
        ids = (operation.correlation_id, operation.trace_id, operation.span_id)
        request_line.write(level, outcome.line, ids, values, more)

    def _more(self, status: int) -> dict[str, Any]:
        """What few requests have to say."""
        operation = self.operation
        fields: dict[str, Any] = {}
        if operation.reason and status >= 400:
            fields["reason"] = operation.reason
        if operation.repeated:
            statement, line = next(iter(operation.repeated.items()))
            fields["repeated_queries"] = len(operation.repeated)
            fields["repeated_statement"] = statement
            fields["repeated_times"] = operation.shapes[statement]
            fields["repeated_at"] = line
        if operation.error is not None and status >= 500:
            fields["exception"] = fields_of(operation.error)
        return fields


def _milliseconds(nanoseconds: int) -> str:
    """With one decimal."""
    tenths = (nanoseconds + 50_000) // 100_000
    return _TENTHS[tenths] if tenths < 1000 else f"{tenths / 10:.1f}"


def size_of(response: HttpResponseBase) -> int:
    """Bytes of a body that is there as a whole."""
    return len(response.content) if isinstance(response, HttpResponse) else 0


def status_of(response: HttpResponseBase) -> int:
    """The status code, 500 where it is no number: a server cannot send that either."""
    try:
        status = response.status_code
        return status if type(status) is int else int(status)
    except Exception:
        return 500
