"""What user code calls: ``get_tracer`` and ``traced``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from opentelemetry import trace

P = ParamSpec("P")
R = TypeVar("R")


def get_tracer(name: str = "telemetry") -> trace.Tracer:
    """A tracer of OpenTelemetry's API; its spans belong to the request that runs now."""
    return trace.get_tracer(name)


def traced(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Run a function inside a span of that name."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            with get_tracer().start_as_current_span(name):
                return function(*args, **kwargs)

        return wrapper

    return decorate
