"""The limit of spans in one operation (``SPANS_PER_TRACE``), against loops that run away."""

from __future__ import annotations

import time

from telemetry import settings
from telemetry.context import Operation

#: Seconds from the span that found no room to the next ``SPANS_PER_TRACE`` spans.
RENEWED_AFTER = 60.0


def take_span(operation: Operation) -> bool:
    """Whether one more span may begin in the operation.

    A command may run for days, and a task that was begun in a request keeps the request's context:
    the limit is renewed once when the operation has ended, and from then on every minute.
    """
    if operation.spans_left < 1 and not _renew(operation):
        return False
    operation.spans_left -= 1
    return True


def _renew(operation: Operation) -> bool:
    now = time.monotonic()
    # Set by the first span that found no room, so that other operations have nothing to set.
    due = getattr(operation, "spans_renewed_at", None)
    outlived = operation.finished and not getattr(operation, "outlived", False)
    if due is None or now >= due or outlived:
        operation.spans_renewed_at = now + RENEWED_AFTER
        if due is None and not outlived:
            return False
        operation.outlived = operation.finished
        operation.spans_left = settings.get().SPANS_PER_TRACE
        return True
    return False
