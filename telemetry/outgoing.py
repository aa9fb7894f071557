"""Outgoing HTTP calls of ``requests``: a client span, metrics, and our ids on the wire."""

from __future__ import annotations

import functools
import time
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry.context import current
from telemetry.correlation import HEADER
from telemetry.logs.exceptions import message_of
from telemetry.logs.masking import mask_text
from telemetry.methods import known_method
from telemetry.metrics import definitions as metrics
from telemetry.tracing import propagation
from telemetry.tracing.limits import may_begin_span

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
        if (operation is not None and operation.quiet) or context_api.get_value(
            "suppress_instrumentation"
        ):
            return original(self, request, **kwargs)
        return _send(original, self, request, kwargs)

    setattr(send, _PATCHED, True)
    requests.Session.send = send  # type: ignore[method-assign]


def _send(original: Any, session: Any, request: Any, kwargs: dict[str, Any]) -> Any:
    import requests

    operation = current.get()
    method = known_method(request.method or "")
    parts = urlsplit(request.url or "")
    host = _bounded(parts.hostname or "none")
    manager = _span(operation, method, request.url or "", parts)
    status = "error"
    started = time.perf_counter()
    with manager as span:
        if span is not trace.INVALID_SPAN:
            propagation.inject(span, request.headers)
        else:
            propagation.inject(trace.get_current_span(), request.headers)
        if operation is not None and operation.correlation_id:
            request.headers[HEADER] = operation.correlation_id
        try:
            response = original(session, request, **kwargs)
            status = str(response.status_code)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 400:
                span.set_attribute("error.type", status)
                span.set_status(Status(StatusCode.ERROR))
        except Exception as error:
            timed_out = isinstance(error, requests.Timeout)
            status = "timeout" if timed_out else "error"
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR, message_of(error)))
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.HTTP_CLIENT_REQUESTS.child(host, method, status).inc()
            metrics.HTTP_CLIENT_REQUEST_DURATION.child(host, method).observe(seconds)
    return response


def _span(operation: Any, method: str, address: str, parts: Any) -> Any:
    if not may_begin_span(operation):
        return nullcontext(trace.INVALID_SPAN)
    attributes: dict[str, Any] = {
        "http.request.method": method,
        "url.full": mask_text(_without_login(address)),
        "server.address": parts.hostname or "",
    }
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    if port:
        attributes["server.port"] = port
    return _tracer.start_as_current_span(
        method,
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
