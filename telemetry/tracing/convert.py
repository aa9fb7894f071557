"""Light spans as the SDK's ``ReadableSpan``, for every exporter that was written for the SDK."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from telemetry.tracing.light import LightSpan, WholeSpan, unfolded
from telemetry.tracing.otlp_exporter import DropCounter, ExportError
from telemetry.tracing.values import attributes_of, epoch_offset, unix_nanoseconds


def readable(span: LightSpan, resource: Resource, offset: int) -> ReadableSpan:
    """``offset`` makes dates of its times, as :func:`epoch_offset` gives it for a whole batch."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=resource,
        attributes=_bounded(span.attributes, span.dropped_attributes),
        events=[
            SdkEvent(event.name, _bounded(event.attributes), unix_nanoseconds(event.time, offset))
            for event in span.set_events
        ],
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=unix_nanoseconds(span.started, offset),
        end_time=unix_nanoseconds(span.ended, offset),
        instrumentation_scope=span.instrumentation_scope,
    )


def _bounded(attributes: Mapping[str, Any], dropped: int = 0) -> BoundedAttributes:
    """What exporters ask how many attributes were dropped; a plain dict cannot say.

    Texts are made such that they can be encoded: those of telemetry were not checked when they
    were set, which would cost something for each request.
    """
    found = BoundedAttributes(attributes=attributes_of(attributes)[0], immutable=False)
    found.dropped = dropped
    return found


#: What encoders of exporters raise about a value: before anything of the batch is sent.
_ENCODING_ERRORS: tuple[type[Exception], ...] = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    struct.error,
)


@dataclass
class _Sent:
    """What became of a batch: numbers of spans, and the last problem."""

    taken: int = 0
    refused: int = 0
    broken: int = 0
    problem: str | None = None


class ConvertingExporter:
    """Feeds an exporter of the SDK, in the exporting thread."""

    def __init__(
        self, exporter: SpanExporter, resource: Resource, count_dropped: DropCounter
    ) -> None:
        self._exporter = exporter
        self._resource = resource
        self._count_dropped = count_dropped

    def export(self, spans: Sequence[LightSpan | WholeSpan | ReadableSpan]) -> int:
        """Raises ExportError where the exporter says that it failed."""
        offset = epoch_offset()
        converted = []
        for span in spans:
            try:
                converted.append(self._converted(span, offset))
            except Exception:  # noqa: BLE001  one span must not cost the others
                self._count_dropped("encoding_failed", 1)
        if not converted:
            return 0
        found = _Sent()
        self._send(converted, found)
        if found.problem is not None and not found.taken:
            raise ExportError(found.problem, len(converted))
        if found.broken:
            self._count_dropped("encoding_failed", found.broken)
        return found.refused

    def _send(self, spans: Sequence[ReadableSpan], found: _Sent) -> None:
        """Export the spans; those among which one cannot be encoded in two halves."""
        try:
            result = self._exporter.export(spans)
        except _ENCODING_ERRORS as error:
            if len(spans) > 1:
                half = len(spans) // 2
                self._send(spans[:half], found)
                self._send(spans[half:], found)
                return
            found.broken += 1
            found.problem = f"{type(error).__name__}: {error}"
            return
        if result is SpanExportResult.SUCCESS:
            found.taken += len(spans)
        else:
            found.refused += len(spans)
            found.problem = "the exporter failed"

    def _converted(self, span: LightSpan | WholeSpan | ReadableSpan, offset: int) -> ReadableSpan:
        if isinstance(span, tuple):
            span = unfolded(span)
        return readable(span, self._resource, offset) if isinstance(span, LightSpan) else span

    def stop_retrying(self) -> None:
        """The exporter's own shutdown would be needed for that, and would end it for good."""
