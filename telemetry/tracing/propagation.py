"""W3C trace context on the way in and on the way out."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()

#: A tracestate longer than this is dropped, as the recommendation allows (section 3.3.1.5).
_LONGEST_STATE = 512
_MOST_MEMBERS = 32
#: ``key=value`` of a tracestate, or nothing (section 3.3.1.3).
_MEMBER = re.compile(
    r"[ \t]*(?:"
    r"(?:[a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
    r")?[ \t]*"
)


def extract(traceparent: object, tracestate: object) -> trace.SpanContext | None:
    """The caller's span context, None when the header is absent or broken."""
    if not isinstance(traceparent, str) or not traceparent or len(traceparent) > 256:
        return None
    carrier = {"traceparent": traceparent}
    if isinstance(tracestate, str) and tracestate and _is_whole(tracestate):
        carrier["tracestate"] = tracestate
    found = trace.get_current_span(_propagator.extract(carrier, Context())).get_span_context()
    return found if found.is_valid else None


def _is_whole(tracestate: str) -> bool:
    """OpenTelemetry drops a broken one as well, with a WARNING that any stranger can cause."""
    members = tracestate.split(",")
    return (
        len(tracestate) <= _LONGEST_STATE
        and len(members) <= _MOST_MEMBERS
        and all(map(_MEMBER.fullmatch, members))
    )


def inject(span: trace.Span, headers: MutableMapping[str, str]) -> None:
    """Put ``traceparent`` of ``span`` on outgoing headers. Baggage is not passed on."""
    _propagator.inject(headers, trace.set_span_in_context(span, Context()))


def remove(span: trace.Span, headers: MutableMapping[str, str]) -> None:
    """Take a ``traceparent`` of the trace of ``span`` from outgoing headers; others stay."""
    trace_id = f"{span.get_span_context().trace_id:032x}"
    if headers.get("traceparent", "").split("-")[1:2] == [trace_id]:
        del headers["traceparent"]
        headers.pop("tracestate", None)
