"""Outgoing HTTP calls of ``requests``: a client span, metrics, and our ids on the wire."""

from __future__ import annotations

import functools
import time
from contextlib import nullcontext
from typing import Any
from urllib.parse import SplitResult, urlsplit

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry import settings
from telemetry.context import Operation, current
from telemetry.correlation import HEADER
from telemetry.logs.exceptions import message_of
from telemetry.logs.masking import mask_text
from telemetry.methods import OTHER, known_method
from telemetry.metrics import definitions as metrics
from telemetry.tracing import propagation
from telemetry.tracing.limits import may_begin_span, tracer_holds_it
from telemetry.tracing.suppression import http_suppressed, is_http_suppressed, is_suppressed

#: Different hosts that get series of their own in one process; more are ``other``.
_MOST_HOSTS = 50
_PATCHED = "_telemetry_patched"

_hosts: set[str] = set()
_tracer = trace.get_tracer("telemetry.outgoing")


def install() -> None:
    """Patch ``requests.Session.send``, where that package is there; each redirect is a call."""
    try:
        import requests
    except ImportError:
        return
    original = requests.Session.send
    if hasattr(original, _PATCHED):
        return

    @functools.wraps(original)
    def send(self: requests.Session, request: requests.PreparedRequest, **kwargs: Any) -> Any:
        operation = current.get()
        if (operation is not None and operation.quiet) or is_suppressed():
            return original(self, request, **kwargs)
        return _send(original, self, request, kwargs)

    setattr(send, _PATCHED, True)
    requests.Session.send = send  # type: ignore[method-assign]


def _send(original: Any, session: Any, request: Any, kwargs: dict[str, Any]) -> Any:
    import requests

    operation = current.get()
    method = known_method(request.method or "")
    address = request.url or ""
    parts = _parts(address)
    host = _bounded(parts.hostname or "none")
    known_address = address if parts.netloc else ""
    manager = _span(operation, method, request.method or "", known_address, parts)
    status = "error"
    seconds: float | None = None
    started = time.perf_counter()
    with manager as span:
        if span is trace.INVALID_SPAN:
            _pass_on(trace.get_current_span(), operation, parts.hostname, request.headers)
        else:
            _pass_on(span, operation, parts.hostname, request.headers)
        try:
            with http_suppressed():
                # Instrumentations of requests and urllib3 below would make spans of the same call.
                response = original(session, request, **kwargs)
            # What came in the end, after redirects, is another call's answer.
            answer = response.history[0] if response.history else response
            seconds = answer.elapsed.total_seconds()
            status = str(answer.status_code)
            span.set_attribute("http.response.status_code", answer.status_code)
            if answer.status_code >= 400:
                span.set_attribute("error.type", status)
                span.set_status(Status(StatusCode.ERROR))
        except Exception as error:
            timed_out = isinstance(error, requests.Timeout)
            status = "timeout" if timed_out else "error"
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR, message_of(error)))
            raise
        finally:
            if seconds is None:
                seconds = time.perf_counter() - started
            metrics.HTTP_CLIENT_REQUESTS.child(host, method, status).inc()
            outcome = metrics.outcome_of_status(int(status)) if status.isdigit() else status
            metrics.HTTP_CLIENT_RESPONSES.child(outcome).inc()
            metrics.HTTP_CLIENT_REQUEST_DURATION.child(host, method).observe(seconds)
    return response


def _parts(address: str) -> SplitResult:
    """The parts of an address; empty ones for what is none, about which ``requests`` will say."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _pass_on(span: trace.Span, operation: Operation | None, host: str | None, headers: Any) -> None:
    """Our ids on the headers of a call, where the settings let its host have them."""
    correlation_id = operation.correlation_id if operation is not None else ""
    if settings.get().propagates_to((host or "").rstrip(".")):
        propagation.inject(span, headers)
        if correlation_id:
            headers[HEADER] = correlation_id
        return
    # A redirect begins with a copy of the headers that the first host was sent.
    propagation.remove(span, headers)
    if correlation_id and headers.get(HEADER) == correlation_id:
        del headers[HEADER]


def _span(
    operation: Any, method: str, original_method: str, address: str, parts: SplitResult
) -> Any:
    if is_http_suppressed() or (not tracer_holds_it() and not may_begin_span(operation)):
        # The first: whoever said so, as OpenTelemetry's instrumentation of requests, has a span.
        return nullcontext(trace.INVALID_SPAN)
    attributes: dict[str, Any] = {
        "http.request.method": "_OTHER" if method == OTHER else method,
        "url.full": mask_text(_without_login(address)),
        "server.address": parts.hostname or "",
    }
    if method == OTHER:
        attributes["http.request.method_original"] = mask_text(original_method[:40])
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    if port:
        attributes["server.port"] = port
    return _tracer.start_as_current_span(
        "HTTP" if method == OTHER else method,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    )


def _without_login(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _bounded(host: str) -> str:
    if host in _hosts:
        return host
    if len(_hosts) >= _MOST_HOSTS:
        return "other"
    _hosts.add(host)
    return host
