"""Light spans as the SDK's ``ReadableSpan``, for every exporter that was written for the SDK."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, TraceFlags

from telemetry.tracing.correlate import ATTRIBUTE
from telemetry.tracing.light import LightSpan, WholeSpan, epoch_offset, unfolded
from telemetry.tracing.otlp_exporter import ExportError


def readable(span: LightSpan, resource: Resource, offset: int) -> ReadableSpan:
    parent = None
    if span.parent_id:
        parent = SpanContext(
            int.from_bytes(span.trace_id, "big"),
            int.from_bytes(span.parent_id, "big"),
            is_remote=span.parent_remote,
            trace_flags=TraceFlags(TraceFlags.SAMPLED),
            trace_state=span.trace_state,
        )
    attributes = {**(span.fixed.attributes if span.fixed else {}), **span.attributes}
    if span.correlation_id:
        attributes[ATTRIBUTE] = span.correlation_id
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=parent,
        resource=resource,
        attributes=attributes,
        events=[
            # The Thrift exporter asks how many attributes were dropped, a plain dict cannot say.
            SdkEvent(
                event.name,
                BoundedAttributes(attributes=event.attributes, immutable=False),
                event.time + offset,
            )
            for event in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status, span.description),
        start_time=span.started + offset,
        end_time=span.ended + offset,
        instrumentation_scope=InstrumentationScope(span.tracer.name, span.tracer.version),
    )


class ConvertingExporter:
    """Feeds an exporter of the SDK, in the exporting thread."""

    def __init__(self, exporter: SpanExporter, resource: Resource) -> None:
        self._exporter = exporter
        self._resource = resource

    def export(self, spans: Sequence[LightSpan | WholeSpan | ReadableSpan]) -> int:
        """Raises ExportError where the exporter says that it failed."""
        offset = epoch_offset()
        converted = [self._converted(span, offset) for span in spans]
        if self._exporter.export(converted) is not SpanExportResult.SUCCESS:
            raise ExportError("the exporter failed")
        return 0

    def _converted(self, span: LightSpan | WholeSpan | ReadableSpan, offset: int) -> ReadableSpan:
        if isinstance(span, tuple):
            span = unfolded(span)
        return readable(span, self._resource, offset) if isinstance(span, LightSpan) else span

    def stop_retrying(self) -> None:
        """The exporter's own shutdown would be needed for that, and would end it for good."""
