"""OpenTelemetry's word that nothing is to be instrumented here, as around an exporter's own calls.

The keys are objects that the API makes (``opentelemetry.context.create_key``), beside the plain
texts that older instrumentations ask for. ``opentelemetry.instrumentation.utils`` knows the same
ones, but that package is not among our requirements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as api

#: Nothing at all is instrumented.
_EVERYTHING: tuple[str, ...] = (
    getattr(api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
    "suppress_instrumentation",
)
#: Outgoing HTTP calls are not.
_HTTP: tuple[str, ...] = (
    getattr(api, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"),
    "suppress_http_instrumentation",
)


def is_suppressed(context: Mapping[str, Any] | None = None) -> bool:
    """Whether instrumentation is switched off in ``context``, or in the current one."""
    found = api.get_current() if context is None else context
    return any(found.get(key) for key in _EVERYTHING)


def is_http_suppressed() -> bool:
    """The same for an outgoing HTTP call."""
    found = api.get_current()
    return is_suppressed(found) or any(found.get(key) for key in _HTTP)


@contextmanager
def suppressed() -> Iterator[None]:
    """Switch all instrumentation off inside the block, that of others too."""
    context = api.get_current()
    for key in (*_EVERYTHING, *_HTTP):
        context = api.set_value(key, True, context)
    token = api.attach(context)
    try:
        yield
    finally:
        api.detach(token)
