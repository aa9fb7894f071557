"""The server span of a request, by OpenTelemetry's stable HTTP semantic conventions (1.23+)."""

from __future__ import annotations

from typing import Any, cast

from django.http import HttpRequest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry import settings
from telemetry.context import Operation
from telemetry.correlation import new_correlation_id
from telemetry.logs.exceptions import message_of
from telemetry.logs.masking import mask_text
from telemetry.outcomes import Outcome
from telemetry.routes import WITHOUT_ROUTE
from telemetry.tracing import contrib, propagation
from telemetry.tracing.correlate import ATTRIBUTE
from telemetry.tracing.light import Fixed, LightSpan, UnsampledSpan, perf
from telemetry.tracing.own import OwnTracer

_tracer = OwnTracer("telemetry.http")
# Looked up once: in Python 3.11 a member of an Enum is found by a function.
_SERVER = SpanKind.SERVER
_LONGEST_PATH = 1024
#: Combinations of server, protocol and scheme that one outcome remembers.
_MOST_FIXED = 50


def begin(operation: Operation, request: HttpRequest, method: str) -> trace.Span:
    """Begin the span, in the caller's trace or with a link to it, and put its ids on the work."""
    if contrib.django_is_theirs():
        span = trace.get_current_span()
        if span.get_span_context().is_valid:
            _join(operation, span)
            return span
    meta = request.META
    link = None
    if "HTTP_TRACEPARENT" in meta:
        caller = propagation.extract(meta["HTTP_TRACEPARENT"], meta.get("HTTP_TRACESTATE"))
        if caller is not None and settings.get().TRUST_INCOMING_TRACE:
            span = _tracer.start(method, _SERVER, trace.NonRecordingSpan(caller))
            take_ids(operation, span)
            # The caller's trace may come again: its id would not name this request.
            operation.correlation_id = operation.correlation_id or new_correlation_id()
            _tell_correlation(operation, span)
            return span
        link = caller
    span = begin_root(operation, method)
    if link is not None and operation.sampled:
        span.add_link(link)
    return span


def begin_root(operation: Operation, method: str) -> trace.Span:
    """Begin the span of a trace of its own, and put its ids on the work."""
    span = _tracer.root(method, _SERVER)
    take_ids(operation, span)
    # A trace of our own has a random id, which serves as well.
    if not operation.correlation_id:
        operation.correlation_id = operation.trace_id or new_correlation_id()
    _tell_correlation(operation, span)
    return span


def _tell_correlation(operation: Operation, span: trace.Span) -> None:
    if type(span) is LightSpan:
        # It began before the operation was the current one.
        span.correlation_id = operation.correlation_id
    elif operation.sampled:
        span.set_attribute(ATTRIBUTE, operation.correlation_id)


def take_ids(operation: Operation, span: trace.Span) -> None:
    """Make a span the one of the operation."""
    operation.span = span
    # isinstance() of a class that inherits from an abstract one takes four times as long.
    made = type(span)
    if made is LightSpan or made is UnsampledSpan:
        light = cast(LightSpan, span)
        operation.trace_id = light.trace_id.hex()
        operation.span_id = light.span_id.hex()
        operation.sampled = light.recording
        return
    ids = span.get_span_context()
    if ids.is_valid:
        operation.trace_id = f"{ids.trace_id:032x}"
        operation.span_id = f"{ids.span_id:016x}"
        operation.sampled = ids.trace_flags.sampled


def _join(operation: Operation, span: trace.Span) -> None:
    """Their span is the request's: it gets what we know, and they end it."""
    take_ids(operation, span)
    operation.theirs = True
    operation.correlation_id = operation.correlation_id or new_correlation_id()
    span.set_attribute(ATTRIBUTE, operation.correlation_id)


def enrich(operation: Operation, route: str) -> None:
    """Add what we know to their span, until they end it: a stream's ends before its body does."""
    span: trace.Span = operation.span
    if span.is_recording():
        if route not in WITHOUT_ROUTE:
            span.set_attribute("http.route", route)
        _tell_repeated(span, operation)


def end(operation: Operation, request: HttpRequest, outcome: Outcome) -> None:
    """Name the span by its route, say what is known of request and answer, and end it."""
    span: trace.Span = operation.span
    if operation.theirs:
        enrich(operation, outcome.route)
        return
    light = span if type(span) is LightSpan and not span.ended else None
    if light is not None:
        # What telemetry makes itself needs no check.
        light.name = outcome.span_name
        light.fixed = _fixed(request, outcome)
        said = _of_this_request(operation, request)
        light.attributes = {**light.attributes, **said} if light.attributes else said
    elif span.is_recording():
        span.update_name(outcome.span_name)
        span.set_attributes(_fixed(request, outcome).attributes)
        span.set_attributes(_of_this_request(operation, request))
    if operation.sampled:
        if operation.repeated:
            _tell_repeated(span, operation)
        if outcome.status >= 500:
            _tell_error(span, operation, outcome.status)
    spans, operation.spans = operation.spans, []
    if light is not None:
        light.ended = perf()
        spans.append(light)
    else:
        span.end()
    if spans:
        _tracer.hand_over(spans)


def end_bare(operation: Operation, outcome: Outcome) -> None:
    """End the span with its name alone, and hand over those of its statements: for a request of
    which something cannot be read."""
    span = operation.span
    spans, operation.spans = operation.spans, []
    if not operation.theirs:
        if type(span) is not LightSpan:
            span.update_name(outcome.span_name)
            span.end()
        elif not span.ended:
            span.name = outcome.span_name
            span.ended = perf()
            spans.append(span)
    if spans:
        _tracer.hand_over(spans)


def _fixed(request: HttpRequest, outcome: Outcome) -> Fixed:
    meta = request.META
    # The property `scheme` asks Django's settings first, whatever they say; under WSGI this key is
    # what it says then, under ASGI there is none.
    scheme = None if settings.scheme_is_told() else meta.get("wsgi.url_scheme")
    if scheme is None:
        scheme = request.scheme
    key = (
        scheme,
        meta.get("SERVER_PROTOCOL"),
        meta.get("SERVER_NAME"),
        meta.get("SERVER_PORT"),
        request.method,
    )
    known = outcome.fixed.get(key)
    if known is not None:
        return known
    _, protocol, server, port, method = key
    found: dict[str, Any] = {
        "http.request.method": outcome.method,
        "http.response.status_code": outcome.status,
        "url.scheme": scheme or "http",
        "network.protocol.version": str(protocol or "").rpartition("/")[2],
        "server.address": str(server or ""),
    }
    if outcome.route not in WITHOUT_ROUTE:
        found["http.route"] = outcome.route
    if outcome.method != method:
        found["http.request.method_original"] = str(method or "")[:40]
    if (number := str(port or "")).isdigit():
        found["server.port"] = int(number)
    made = Fixed({name: value for name, value in found.items() if value != ""})
    if len(outcome.fixed) < _MOST_FIXED:
        outcome.fixed[key] = made
    return made


def _of_this_request(operation: Operation, request: HttpRequest) -> dict[str, Any]:
    meta = request.META
    found: dict[str, Any] = {"url.path": str(request.path)[:_LONGEST_PATH]}
    if address := operation.client_ip:
        found["client.address"] = address
    if query := meta.get("QUERY_STRING"):
        found["url.query"] = mask_text(str(query)[:_LONGEST_PATH])
    if agent := meta.get("HTTP_USER_AGENT"):
        found["user_agent.original"] = str(agent)[:300]
    return found


def _tell_repeated(span: trace.Span, operation: Operation) -> None:
    for statement, line in operation.repeated.items():
        span.add_event(
            "repeated query",
            {
                "db.query.text": statement,
                "times": operation.shapes[statement],
                "code.line": line,
            },
        )


def _tell_error(span: trace.Span, operation: Operation, status: int) -> None:
    error = operation.error
    if error is None:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
        return
    tell_exception(span, error)


def tell_exception(span: trace.Span, error: BaseException) -> None:
    """What ended the work of a span: its type, its status and one event."""
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
