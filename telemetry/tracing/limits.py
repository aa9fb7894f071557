"""A bound on the spans of one operation, against loops that run away."""

from __future__ import annotations

from telemetry.context import Operation
from telemetry.tracing.provider import processor


def may_begin_span(operation: Operation | None) -> bool:
    """Whether one more span may begin; one that may not is counted as dropped."""
    if operation is None:
        return True
    if operation.spans_left < 1:
        processor.count_dropped("span_limit", 1)
        return False
    operation.spans_left -= 1
    return True
