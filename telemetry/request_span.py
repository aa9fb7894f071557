"""The server span of a request, by OpenTelemetry's stable HTTP semantic conventions (1.23+)."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, cast

from django.http import HttpRequest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry import settings
from telemetry.context import Operation
from telemetry.correlation import new_correlation_id
from telemetry.logs.exceptions import message_of
from telemetry.logs.masking import mask_text, without_detail
from telemetry.methods import METHODS, OTHER
from telemetry.outcomes import Outcome
from telemetry.routes import WITHOUT_ROUTE
from telemetry.tracing import contrib, propagation
from telemetry.tracing.correlate import ATTRIBUTE
from telemetry.tracing.ids import new_span_id, new_trace_id
from telemetry.tracing.light import Fixed, LightSpan, UnsampledSpan, perf, type_of
from telemetry.tracing.own import OwnTracer
from telemetry.tracing.stack_trace import stack_trace

_tracer = OwnTracer("telemetry.http")
# Looked up once: in Python 3.11 a member of an Enum is found by a function.
_SERVER = SpanKind.SERVER
_LONGEST_PATH = 1024
#: Characters that mask_text() leaves as they are in a path.
_PLAIN_PATH = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.~-"
#: The name of a server span until its route is known. Each is an object of its own: a view that
#: calls update_name("GET") chose that name, which telemetry then leaves alone.
_PROVISIONAL_NAMES = {method: method.encode().decode() for method in METHODS}
#: Semantic conventions of HTTP spans: the name of a request whose method is none of HTTP's.
_PROVISIONAL_NAMES[OTHER] = "HTTP"
_OTHER_METHOD = "_OTHER"
#: What theirs says of a request as it came, by the old conventions and the stable ones.
_THEIRS_WITH_SECRETS = (
    "http.target",
    "http.url",
    "http.user_agent",
    "url.full",
    "url.path",
    "url.query",
    "user_agent.original",
)
#: Combinations of server, protocol and scheme that one outcome remembers.
_MOST_FIXED = 50


def begin(operation: Operation, request: HttpRequest, method: str) -> trace.Span:
    """Begin the span, in the caller's trace or with a link to it, and put its ids on the work."""
    if contrib.django_is_theirs():
        span = trace.get_current_span()
        if span.get_span_context().is_valid:
            _join(operation, span)
            return span
        if contrib.excludes(request):
            span = _unrecorded()
            _join(operation, span)
            return span
    meta = request.META
    name = _PROVISIONAL_NAMES[method]
    link = None
    if "HTTP_TRACEPARENT" in meta:
        caller = propagation.extract(meta["HTTP_TRACEPARENT"], meta.get("HTTP_TRACESTATE"))
        if caller is not None and settings.get().TRUST_INCOMING_TRACE:
            span = _tracer.start(name, _SERVER, trace.NonRecordingSpan(caller))
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


def _unrecorded() -> trace.Span:
    """A span that nobody exports, whose ids the log has all the same."""
    return trace.NonRecordingSpan(
        trace.SpanContext(
            int.from_bytes(new_trace_id(), "big"),
            int.from_bytes(new_span_id(), "big"),
            is_remote=False,
        )
    )


def begin_root(operation: Operation, method: str) -> trace.Span:
    """Begin the span of a trace of its own, and put its ids on the work."""
    span = _tracer.root(_PROVISIONAL_NAMES[method], _SERVER)
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
    given = _set_by_view(span)
    for key in _THEIRS_WITH_SECRETS:
        value = given.get(key)
        if isinstance(value, str) and (masked := mask_text(value)) != value:
            span.set_attribute(key, masked)


def enrich(operation: Operation, request: HttpRequest, route: str) -> None:
    """Add what we know to their span, until they end it: a stream's ends before its body does."""
    span: trace.Span = operation.span
    if span.is_recording():
        # Their value is Django's pattern; any other one is the view's, which stays.
        pattern = getattr(request.resolver_match, "route", None)
        known = _set_by_view(span).get("http.route")
        if route not in WITHOUT_ROUTE and known in {None, pattern}:
            span.set_attribute("http.route", route)
        _tell_repeated(span, operation)


def end(operation: Operation, request: HttpRequest, outcome: Outcome) -> None:
    """Name the span by its route, say what is known of request and answer, and end it.

    A name and attributes that the view gave the span stay.
    """
    span: trace.Span = operation.span
    if operation.theirs:
        enrich(operation, request, outcome.route)
        return
    light = span if type(span) is LightSpan and not span.ended else None
    if light is not None:
        # What telemetry makes itself needs no check.
        if light.name is _PROVISIONAL_NAMES[outcome.method]:
            light.name = outcome.span_name
        fixed = _fixed(request, outcome)
        ours = _of_this_request(operation, request)
        if given := light.set_attribute_values:
            fixed = fixed.without(given)
            for key, value in ours.items():
                given.setdefault(key, value)
        else:
            light.set_attribute_values = ours
        light.fixed = fixed
    elif span.is_recording():
        _say(span, operation, request, outcome)
    if operation.sampled and (operation.repeated or outcome.status >= 500):
        _tell_repeated(span, operation)
        if outcome.status >= 500:
            _tell_error(span, operation, outcome.status)
    spans, operation.spans = operation.spans, []
    if light is not None and _ends_now(light):
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
        if getattr(span, "name", "") is _PROVISIONAL_NAMES[outcome.method]:
            span.update_name(outcome.span_name)
        if type(span) is not LightSpan:
            span.end()
        elif _ends_now(span):
            spans.append(span)
    if spans:
        _tracer.hand_over(spans)


def _say(span: trace.Span, operation: Operation, request: HttpRequest, outcome: Outcome) -> None:
    """Name and describe a span of another kind than ours."""
    if getattr(span, "name", "") is _PROVISIONAL_NAMES[outcome.method]:
        span.update_name(outcome.span_name)
    given = _set_by_view(span)
    everything = {**_fixed(request, outcome).attributes, **_of_this_request(operation, request)}
    span.set_attributes({key: everything[key] for key in everything.keys() - given.keys()})


def _ends_now(span: LightSpan) -> bool:
    """End a span as :meth:`LightSpan.end` does, but for the export; False if it had ended."""
    try:
        del span.unended
    except AttributeError:
        return False
    span.ended = perf()
    return True


def _set_by_view(span: trace.Span) -> Mapping[str, Any]:
    """The attributes that can be read of a span which is not ours."""
    return getattr(span, "attributes", None) or {}


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
        "http.request.method": _OTHER_METHOD if outcome.method == OTHER else outcome.method,
        "http.response.status_code": outcome.status,
        "url.scheme": scheme or "http",
        "network.protocol.version": str(protocol or "").rpartition("/")[2],
        "server.address": str(server or ""),
    }
    if outcome.route not in WITHOUT_ROUTE:
        found["http.route"] = outcome.route
    if outcome.method != method or method == OTHER:
        found["http.request.method_original"] = mask_text(str(method or "")[:40])
    if (number := str(port or "")).isdigit():
        found["server.port"] = int(number)
    made = Fixed({name: value for name, value in found.items() if value != ""})
    if len(outcome.fixed) < _MOST_FIXED:
        outcome.fixed[key] = made
    return made


def _of_this_request(operation: Operation, request: HttpRequest) -> dict[str, Any]:
    meta = request.META
    path = str(request.path)[:_LONGEST_PATH]
    try:
        # Bytes of which nothing is left: a twentieth of what mask_text() takes.
        plain = not path.encode().strip(_PLAIN_PATH)
    except UnicodeEncodeError:
        plain = False
    found: dict[str, Any] = {"url.path": path if plain else mask_text(path)}
    if address := operation.client_ip:
        found["client.address"] = address
    if query := meta.get("QUERY_STRING"):
        found["url.query"] = mask_text(str(query)[:_LONGEST_PATH])
    if agent := meta.get("HTTP_USER_AGENT"):
        found["user_agent.original"] = _masked_agent(str(agent)[:300])
    return found


@functools.lru_cache(maxsize=1000)
def _masked_agent(agent: str) -> str:
    """The same few come all the time."""
    return mask_text(agent)


def _tell_repeated(span: trace.Span, operation: Operation) -> None:
    for statement, line in operation.repeated.items():
        span.add_event(
            "repeated query",
            {
                "db.query.text": mask_text(statement),
                "times": operation.shapes[statement],
                "code.line": mask_text(line),
            },
        )


def _tell_error(span: trace.Span, operation: Operation, status: int) -> None:
    error = operation.error
    if error is None:
        if "error.type" not in _set_by_view(span):
            span.set_attribute("error.type", str(status))
        if _has_no_status(span):
            span.set_status(Status(StatusCode.ERROR))
        return
    tell_exception(span, error)


def _has_no_status(span: trace.Span) -> bool:
    status = getattr(span, "status", None)
    return status is None or status.is_unset


def tell_exception(span: trace.Span, error: BaseException) -> None:
    """What ended the work of a span: its type, its status and one event.

    What user code said before, of the same exception too, stays.
    """
    if "error.type" not in _set_by_view(span):
        span.set_attribute("error.type", type(error).__qualname__)
    message = message_of(error)
    if _has_no_status(span):
        span.set_status(Status(StatusCode.ERROR, message))
    told = {"exception.type": type_of(error), "exception.message": message}
    for event in getattr(span, "events", ()):
        if told.items() <= dict(event.attributes or {}).items():
            return
    span.add_event("exception", {**told, "exception.stacktrace": stack_trace(error, _clean)})


def _clean(text: str) -> str:
    return mask_text(without_detail(text))
