"""What user code calls: ``get_tracer`` and ``traced``."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from opentelemetry import trace

P = ParamSpec("P")
R = TypeVar("R")


def get_tracer(name: str = "telemetry") -> trace.Tracer:
    """A tracer of OpenTelemetry's API, whose spans belong to the request that runs now.

    ::

        with get_tracer().start_as_current_span("convert") as span:
            span.set_attribute("currency", "EUR")

    ``start_span`` in a ``with`` statement ends the span as well, but does not make it the parent
    of what runs inside; ``start_as_current_span`` does.
    """
    return trace.get_tracer(name)


def traced(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a function, sync or async, inside a span of that name.

    ::

        @traced("import statement")
        def import_statement(file): ...
    """
    return get_tracer().start_as_current_span(name)
