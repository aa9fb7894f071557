"""What user code calls for spans of its own: ``get_tracer``."""

from __future__ import annotations

from opentelemetry import trace


def get_tracer(name: str = "telemetry") -> trace.Tracer:
    """A tracer of OpenTelemetry's API, whose spans belong to the request that runs now.

    ::

        with get_tracer().start_as_current_span("convert") as span:
            span.set_attribute("currency", "EUR")

    ``start_span`` in a ``with`` statement ends the span as well, but does not make it the parent
    of what runs inside; ``start_as_current_span`` does.
    """
    return trace.get_tracer(name)
