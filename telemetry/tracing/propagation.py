"""W3C trace context on the way in and on the way out."""

from __future__ import annotations

from collections.abc import MutableMapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()

#: A tracestate longer than this is dropped, as the recommendation allows (section 3.3.1.5).
_LONGEST_STATE = 512


def extract(traceparent: str | None, tracestate: str | None) -> trace.SpanContext | None:
    """The caller's span context, None when the header is absent or broken."""
    if not traceparent or len(traceparent) > 256:
        return None
    carrier = {"traceparent": traceparent}
    if tracestate and len(tracestate) <= _LONGEST_STATE:
        carrier["tracestate"] = tracestate
    found = trace.get_current_span(_propagator.extract(carrier, Context())).get_span_context()
    return found if found.is_valid else None


def inject(span: trace.Span, headers: MutableMapping[str, str]) -> None:
    """Put ``traceparent`` of ``span`` on outgoing headers. Baggage is not passed on."""
    _propagator.inject(headers, trace.set_span_in_context(span, Context()))


def remove(span: trace.Span, headers: MutableMapping[str, str]) -> None:
    """Take a ``traceparent`` of the trace of ``span`` from outgoing headers; others stay."""
    trace_id = f"{span.get_span_context().trace_id:032x}"
    if headers.get("traceparent", "").split("-")[1:2] == [trace_id]:
        del headers["traceparent"]
        headers.pop("tracestate", None)
