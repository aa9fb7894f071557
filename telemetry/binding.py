"""``bind``: fields for every log line and the span of the request that runs now."""

from __future__ import annotations

from telemetry.context import current
from telemetry.logs.shapes import mask

Value = str | int | float | bool

#: Names that a log line uses itself; a bound field of that name gets an underscore behind it.
_TAKEN = frozenset(
    {"event", "level", "logger", "message", "timestamp", "exc_info"}
    # One that is bound would hide the request's on all lines but the last.
    | {"correlation_id", "trace_id", "span_id"}
)


def bind(**fields: Value) -> None:
    """Add fields to the log lines and the span of the work that runs now.

    ``bind(expense_id=7)`` inside a view: every line from there on carries ``expense_id``, and the
    server span gets the attribute ``app.expense_id``. Secrets are masked on both by their names.
    Outside of any work it does nothing.
    """
    operation = current.get()
    if operation is None:
        return
    for name, value in fields.items():
        operation.fields[f"{name}_" if name in _TAKEN else name] = value
    if operation.span is not None:
        masked = mask(fields)
        operation.span.set_attributes({f"app.{name}": value for name, value in masked.items()})
