"""A bound on the spans of one operation, against loops that run away."""

from __future__ import annotations

from telemetry import settings
from telemetry.context import Operation
from telemetry.tracing.provider import processor


def may_begin_span(operation: Operation | None) -> bool:
    """Whether one more span may begin; one that may not is counted as dropped."""
    if operation is None:
        return True
    if operation.span_count >= settings.get().SPANS_PER_TRACE:
        processor.count_dropped("span_limit", 1)
        return False
    operation.span_count += 1
    return True
