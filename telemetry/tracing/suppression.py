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
#: Telemetry itself has a span for the outgoing call that goes on: a redirect is another call, for
#: which it makes one as well.
_BY_TELEMETRY = api.create_key("telemetry-http")
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
    by_others = not found.get(_BY_TELEMETRY) and any(found.get(key) for key in _HTTP)
    return by_others or is_suppressed(found)


@contextmanager
def suppressed() -> Iterator[None]:
    """Switch all instrumentation off inside the block, that of others too."""
    with _with(_EVERYTHING + _HTTP):
        yield


@contextmanager
def http_suppressed() -> Iterator[None]:
    """Switch others' instrumentations off for an outgoing HTTP call of which we have a span."""
    keys = _HTTP if is_http_suppressed() else (*_HTTP, _BY_TELEMETRY)
    with _with(keys):
        yield


@contextmanager
def _with(keys: tuple[str, ...]) -> Iterator[None]:
    context = api.get_current()
    for key in keys:
        context = api.set_value(key, True, context)
    token = api.attach(context)
    try:
        yield
    finally:
        api.detach(token)
