"""A bound on the spans of one operation, against loops that run away.

The tracer of light spans holds it for what the API begins; the SDK's does not.
"""

from __future__ import annotations

from opentelemetry import trace

from telemetry.context import Operation
from telemetry.tracing.light import LightProvider
from telemetry.tracing.provider import processor
from telemetry.tracing.span_limit import take_span


def tracer_holds_it() -> bool:
    """Whether a span that the API begins is counted without our doing."""
    return isinstance(trace.get_tracer_provider(), LightProvider)


def may_begin_span(operation: Operation | None) -> bool:
    """Whether one more span may begin; one that may not is counted as dropped."""
    if operation is None or take_span(operation):
        return True
    processor.count_dropped("span_limit", 1)
    return False
