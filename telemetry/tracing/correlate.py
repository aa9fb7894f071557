"""The correlation ID on every span that begins in an operation, whoever begins it."""

from __future__ import annotations

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor

from telemetry.context import current

ATTRIBUTE = "correlation_id"


class CorrelationProcessor(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        operation = current.get()
        if operation is not None and operation.correlation_id:
            span.set_attribute(ATTRIBUTE, operation.correlation_id)
