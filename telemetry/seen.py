"""One request from its arrival to the end of its answer: span, metrics, log line, headers."""

from __future__ import annotations

import logging
import time
from typing import Any

from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from opentelemetry import context as context_api
from opentelemetry import trace

from telemetry import request_span, settings
from telemetry.clients import client_ip, loaded_user
from telemetry.context import Operation, current
from telemetry.correlation import HEADER, accepted, new_correlation_id
from telemetry.logs import get_logger
from telemetry.logs.exceptions import fields_of
from telemetry.methods import known_method
from telemetry.metrics import definitions as metrics
from telemetry.routes import endpoint
from telemetry.tracing import propagation

#: structlog's: an application may bind any field, and the standard library's `extra` refuses some.
logger = get_logger("telemetry.request")

#: What nginx writes when the client went away before the answer; no standard code fits.
CLIENT_CLOSED = 499
_LONGEST_PATH = 1024

#: Endpoint and method pairs whose 500 series exists.
_known: set[tuple[str, str]] = set()


class SeenRequest:
    """What the middleware holds while a request is answered."""

    def __init__(self, request: HttpRequest) -> None:
        self.started = time.perf_counter()
        self.request = request
        self.method = known_method(request.method or "")
        self.operation = Operation(
            accepted(request.META.get("HTTP_X_CORRELATION_ID")) or new_correlation_id()
        )
        self._finished = False
        self._seconds = 0.0
        self._tokens: tuple[Any, Any] | None = None
        metrics.HTTP_REQUESTS_IN_PROGRESS.child(self.method).inc()
        self.span = request_span.begin(self.operation, request, self.method)

    def enter(self) -> None:
        """Make this the work that runs now, in this thread or task."""
        self._tokens = (
            current.set(self.operation),
            context_api.attach(trace.set_span_in_context(self.span)),
        )

    def leave(self) -> None:
        if self._tokens is not None:
            operation, span = self._tokens
            self._tokens = None
            context_api.detach(span)
            current.reset(operation)

    def add_headers(self, response: HttpResponseBase) -> None:
        """``X-Correlation-ID`` and ``Server-Timing`` (W3C Server Timing)."""
        response.headers[HEADER] = self.operation.correlation_id
        elapsed = (time.perf_counter() - self.started) * 1000
        timing = [f"total;dur={elapsed:.1f}"]
        if self._may_see_database():
            timing.append(
                f"db;dur={self.operation.db_seconds * 1000:.1f};"
                f'desc="{self.operation.db_queries} queries"'
            )
        if traceparent := propagation.traceparent(self.span):
            timing.append(f'traceparent;desc="{traceparent}"')
        given = response.headers.get("Server-Timing")
        response.headers["Server-Timing"] = ", ".join([given, *timing] if given else timing)

    def _may_see_database(self) -> bool:
        if django_settings.DEBUG:
            return True
        if settings.get().SERVER_TIMING_DATABASE != "staff":
            return False
        return bool(getattr(loaded_user(self.request), "is_staff", False))

    def finish(self, status: int, response_bytes: int) -> None:
        """Record the request, once: metrics with the trace's exemplar, the span, the log line."""
        if self._finished:
            return
        self._finished = True
        self._seconds = time.perf_counter() - self.started
        try:
            route = endpoint(self.request)
            self._count(route, status)
            request_span.end(self.operation, self.method, route, status)
            self._log(route, status, response_bytes)
        except Exception:
            # The view's work is done and committed: no failure of ours may cost its answer.
            logger.exception("telemetry could not record a request")

    def _count(self, route: str, status: int) -> None:
        operation = self.operation
        metrics.HTTP_REQUESTS_IN_PROGRESS.child(self.method).dec()
        if (route, self.method) not in _known:
            # A rate of errors is 0 and not absent until the first one comes.
            metrics.HTTP_REQUESTS.child(self.method, route, "500")
            _known.add((route, self.method))
        metrics.HTTP_REQUESTS.child(self.method, route, str(status)).inc()
        sampled = self.span.get_span_context().trace_flags.sampled
        duration = metrics.HTTP_REQUEST_DURATION.child(self.method, route)
        duration.observe(self._seconds, operation.trace_id if sampled else "")
        if status >= 500:
            kind = "http_5xx" if operation.error is None else type(operation.error).__name__
            metrics.ERRORS.child(kind, route).inc()
        if repeated := self._repeated():
            metrics.HTTP_REPEATED_QUERIES.child(route).inc(repeated)

    def _repeated(self) -> int:
        """Statement shapes that ran more often than the setting allows."""
        limit = settings.get().REPEATED_QUERIES
        if self.operation.db_queries <= limit:
            return 0
        return sum(1 for times in self.operation.shapes.values() if times > limit)

    def _log(self, route: str, status: int, response_bytes: int) -> None:
        operation = self.operation
        level = logging.INFO
        if status >= 500:
            level = logging.ERROR
        elif self._seconds > settings.get().SLOW_REQUEST_SECONDS or self._repeated():
            level = logging.WARNING
        if not logger.isEnabledFor(level):
            return
        user = loaded_user(self.request)
        fields: dict[str, Any] = {
            **operation.fields,
            "correlation_id": operation.correlation_id,
            "trace_id": operation.trace_id,
            "span_id": operation.span_id,
            "method": self.method,
            "endpoint": route,
            "path": self.request.path[:_LONGEST_PATH],
            "status": status,
            "duration_seconds": round(self._seconds, 6),
            "db_queries": operation.db_queries,
            "db_seconds": round(operation.db_seconds, 6),
            "user_id": None if user is None else user.pk,
            "client_ip": client_ip(self.request),
            "response_bytes": response_bytes,
        }
        if operation.reason and status >= 400:
            fields["reason"] = operation.reason
        if repeated := self._repeated():
            fields["repeated_queries"] = repeated
        if operation.error is not None and status >= 500:
            fields["exception"] = fields_of(operation.error)
        message = f"{self.method} {route} {status}"
        logger.log(level, message, **fields)


def size_of(response: HttpResponseBase) -> int:
    """Bytes of a body that is there as a whole."""
    return len(response.content) if isinstance(response, HttpResponse) else 0
