"""The server span of a request, by OpenTelemetry's stable HTTP semantic conventions (1.23+)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from telemetry import settings
from telemetry.clients import client_ip
from telemetry.context import Operation
from telemetry.logs.exceptions import message_of
from telemetry.logs.masking import mask_text
from telemetry.tracing import propagation
from telemetry.tracing.correlate import ATTRIBUTE

_tracer = trace.get_tracer("telemetry.http")
_LONGEST_PATH = 1024


def begin(operation: Operation, request: HttpRequest, method: str) -> trace.Span:
    """Begin the span, in the caller's trace or with a link to it, and put its ids on the work."""
    meta = request.META
    caller = propagation.extract(meta.get("HTTP_TRACEPARENT"), meta.get("HTTP_TRACESTATE"))
    context = Context()
    links: list[Link] = []
    if caller is not None:
        if settings.get().TRUST_INCOMING_TRACE:
            context = trace.set_span_in_context(trace.NonRecordingSpan(caller), context)
        else:
            links = [Link(caller)]
    span = _tracer.start_span(
        method,
        context=context,
        kind=SpanKind.SERVER,
        links=links,
        attributes={
            # It begins before the operation is the current one.
            ATTRIBUTE: operation.correlation_id,
            "http.request.method": method,
            "url.path": request.path[:_LONGEST_PATH],
        },
    )
    operation.span = span
    ids = span.get_span_context()
    if ids.is_valid:
        operation.trace_id = f"{ids.trace_id:032x}"
        operation.span_id = f"{ids.span_id:016x}"
    if span.is_recording():
        span.set_attributes(_attributes(request, method))
    return span


def _attributes(request: HttpRequest, method: str) -> dict[str, Any]:
    meta = request.META
    found: dict[str, Any] = {
        "url.scheme": request.scheme or "http",
        "client.address": client_ip(request),
        "network.protocol.version": str(meta.get("SERVER_PROTOCOL", "")).rpartition("/")[2],
        "server.address": str(meta.get("SERVER_NAME", "")),
    }
    if method != request.method:
        found["http.request.method_original"] = (request.method or "")[:40]
    if query := meta.get("QUERY_STRING"):
        found["url.query"] = mask_text(query[:_LONGEST_PATH])
    if agent := meta.get("HTTP_USER_AGENT"):
        found["user_agent.original"] = agent[:300]
    if str(meta.get("SERVER_PORT", "")).isdigit():
        found["server.port"] = int(meta["SERVER_PORT"])
    return {name: value for name, value in found.items() if value != ""}


def end(operation: Operation, method: str, endpoint: str, status: int) -> None:
    """Name the span by its route, give it the answer's status, and end it."""
    span: trace.Span = operation.span
    if span.is_recording():
        routed = endpoint != "unmatched"
        span.update_name(f"{method} {endpoint}" if routed else method)
        if routed:
            span.set_attribute("http.route", endpoint)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            error = operation.error
            if error is None:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
            else:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(Status(StatusCode.ERROR, message_of(error)))
                # An event of our own: record_exception would show local paths and row values.
                span.add_event(
                    "exception",
                    {
                        "exception.type": f"{type(error).__module__}.{type(error).__qualname__}",
                        "exception.message": message_of(error),
                    },
                )
    span.end()
