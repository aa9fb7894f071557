"""``bind``: fields for every log line and the span of the request that runs now."""

from __future__ import annotations

from telemetry.context import current
from telemetry.logs.shapes import mask

Value = str | int | float | bool


def bind(**fields: Value) -> None:
    """Add fields to the log lines and the span of the work that runs now.

    ``bind(expense_id=7)`` inside a view: every line from there on carries ``expense_id``, and the
    server span gets the attribute ``app.expense_id``. Secrets are masked on both by their names. A
    name that a line uses itself, as ``level`` or the request's ``status``, gets an underscore
    behind it there. Outside of any work it does nothing.
    """
    operation = current.get()
    if operation is None:
        return
    operation.fields.update(fields)
    # What outlives its request has lines alone: the span would complain of each call.
    if operation.span is not None and operation.span.is_recording():
        masked = mask(fields)
        operation.span.set_attributes({f"app.{name}": value for name, value in masked.items()})
