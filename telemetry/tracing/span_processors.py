"""Span processors of OpenTelemetry's SDK beside our own export: Sentry's, those of other vendors.

They are called where the span begins and ends, in the thread of the request, with ended spans as
the SDK's ``ReadableSpan``. That costs several times what the span itself costs, for each span.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor

from telemetry.tracing.convert import readable
from telemetry.tracing.light import LightSpan, WholeSpan
from telemetry.tracing.values import epoch_offset, warn_once


class SpanProcessors:
    """Those that the application added, in their order. None of them can break the application."""

    def __init__(self) -> None:
        self._processors: tuple[SpanProcessor, ...] = ()

    def add(self, processor: SpanProcessor) -> None:
        self._processors = (*self._processors, processor)

    def on_start(self, span: LightSpan, parent_context: Context | None) -> None:
        """``parent_context`` as in the SDK: None means the current one."""
        for processor in self._processors:
            # The span has the methods and the readable attributes of the SDK's class.
            _call(processor, lambda one: one.on_start(span, parent_context))  # type: ignore[arg-type]

    def on_end(self, spans: Sequence[LightSpan | WholeSpan]) -> None:
        offset = epoch_offset()
        for span in spans:
            if isinstance(span, tuple):
                # Made before the first processor was added, which did not see its start.
                continue
            if span.fixed is not None and span.set_attribute_values:
                # A processor may have set what telemetry says as well: no key may come twice.
                span.fixed = span.fixed.without(span.set_attribute_values)
            found = readable(span, span.resource, offset)
            for processor in self._processors:
                _call(processor, lambda one, found=found: one.on_end(found))  # type: ignore[misc]

    def force_flush(self, timeout_millis: int) -> bool:
        """Whether all of them exported what waits, within the time altogether."""
        deadline = time.monotonic() + timeout_millis / 1000
        done = True
        for processor in self._processors:
            left = max(0, round((deadline - time.monotonic()) * 1000))
            done = bool(_call(processor, lambda one, left=left: one.force_flush(left))) and done  # type: ignore[misc]
        return done

    def shutdown(self) -> None:
        for processor in self._processors:
            _call(processor, lambda one: one.shutdown())


def _call(processor: SpanProcessor, what: Callable[[SpanProcessor], object]) -> object:
    try:
        return what(processor)
    except Exception as error:  # noqa: BLE001  a vendor's fault must not reach the application
        warn_once(f"the span processor {type(processor).__name__} failed: {type(error).__name__}")
        return False
