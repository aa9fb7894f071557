"""Spans of OpenTelemetry's API that cost a tenth of the SDK's.

The SDK's span makes a lock, two bounded dictionaries and several copies for each span, and its
exporters build a protobuf message of each: three quarters of what tracing costs. Here a span is
the few things that were said about it; everything else is done by the exporting thread.

Whatever uses ``opentelemetry.trace`` works with them: ``get_current_span``, other libraries'
instrumentations, child spans of user code. Span processors of the SDK do not see them; whoever
needs those sets ``TELEMETRY["SPANS"] = "sdk"``.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    TraceState,
)
from opentelemetry.util._decorator import _agnosticcontextmanager

from telemetry.context import current
from telemetry.tracing.ids import new_span_id, new_trace_id, next_span_id, next_trace_id

logger = logging.getLogger(__name__)

#: OpenTelemetry's default limits (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and the like).
MOST_ATTRIBUTES = 128
MOST_EVENTS = 128
MOST_LINKS = 128

_UNSET = StatusCode.UNSET
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
_PLAIN = (str, bool, int, float, bytes)

perf = time.perf_counter_ns


def _as_it_is(text: str) -> str:
    return text


#: What takes secrets out of a message; whoever connects the signals sets it.
clean: Callable[[str], str] = _as_it_is


class Fixed:
    """Attributes that many spans share: they are encoded once, with the name and kind of those."""

    __slots__ = ("attributes", "encoded", "kind", "name")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        #: By the exporting thread: for which name and kind, and the bytes.
        self.encoded = b""
        self.name: str | None = None
        self.kind = SpanKind.INTERNAL


class Event:
    __slots__ = ("attributes", "name", "time")

    def __init__(self, name: str, when: int, attributes: dict[str, Any]) -> None:
        self.name = name
        #: On the clock of ``perf_counter_ns``, as all times here.
        self.time = when
        self.attributes = attributes


class LightSpan(Span):
    """A span that is recorded, with times of ``perf_counter_ns``; the exporter makes dates."""

    # Slots, and each of them set: in Python 3.11 an attribute that hides one of its class is read
    # and written ten times as slowly.
    __slots__ = (
        "_context",
        "attributes",
        "correlation_id",
        "description",
        "dropped_attributes",
        "dropped_events",
        "ended",
        "events",
        "fixed",
        "kind",
        "links",
        "name",
        "parent_id",
        "parent_remote",
        "record",
        "span_id",
        "started",
        "status",
        "trace_id",
        "trace_state",
        "tracer",
    )
    recording = True

    def __init__(  # noqa: PLR0917  called for each span
        self,
        tracer: LightTracer,
        name: str,
        kind: SpanKind,
        trace_id: bytes,
        parent_id: bytes = b"",
        correlation_id: str = "",
        fixed: Fixed | None = None,
    ) -> None:
        self.tracer = tracer
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        try:
            self.span_id = next_span_id()
        except IndexError:
            self.span_id = new_span_id()
        self.parent_id = parent_id
        self.parent_remote = False
        self.trace_state: TraceState | None = None
        self.correlation_id = correlation_id
        self.fixed = fixed
        self.attributes: dict[str, Any] = {}
        self.dropped_attributes = 0
        self.events: Sequence[Event] = ()
        self.dropped_events = 0
        self.links: Sequence[Link] = ()
        self.status = _UNSET
        self.description: str | None = None
        #: Whether ``with span:`` records an exception.
        self.record = True
        self._context: SpanContext | None = None
        self.ended = 0
        self.started = perf()

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            context = self._context = SpanContext(
                int.from_bytes(self.trace_id, "big"),
                int.from_bytes(self.span_id, "big"),
                is_remote=False,
                trace_flags=_SAMPLED if self.recording else _NOT_SAMPLED,
                trace_state=self.trace_state,
            )
        return context

    def is_recording(self) -> bool:
        return not self.ended

    def end(self, end_time: int | None = None) -> None:
        """``end_time`` in nanoseconds since the epoch, now if it is absent."""
        if self.ended:
            logger.warning("span %r ended twice", self.name)
            return
        self.ended = perf() if end_time is None else from_epoch(end_time)
        self.tracer.ended(self)

    def set_attribute(self, key: str, value: Any) -> None:
        if self.ended:
            logger.warning("span %r has ended, %s is not set", self.name, key)
            return
        kept = _value(key, value)
        if kept is None:
            return
        if len(self.attributes) >= MOST_ATTRIBUTES and key not in self.attributes:
            self.dropped_attributes += 1
            return
        self.attributes[key] = kept

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self.ended:
            logger.warning("span %r has ended, event %r is not added", self.name, name)
            return
        if len(self.events) >= MOST_EVENTS:
            self.dropped_events += 1
            return
        when = perf() if timestamp is None else from_epoch(timestamp)
        self.events = [*self.events, Event(name, when, checked(attributes))]

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if not self.ended and len(self.links) < MOST_LINKS:
            self.links = [*self.links, Link(context, checked(attributes))]

    def update_name(self, name: str) -> None:
        if not self.ended:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """OpenTelemetry's rule: OK is final, and nobody goes back to UNSET."""
        if not isinstance(status, StatusCode):
            given: Status = status
            status, description = given.status_code, given.description
        if self.ended or self.status is StatusCode.OK or status is StatusCode.UNSET:
            return
        self.status = status
        self.description = description if status is StatusCode.ERROR else None

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        kind = type(exception)
        frames = "".join(traceback.format_exception(kind, exception, exception.__traceback__))
        described = {
            "exception.type": f"{kind.__module__}.{kind.__qualname__}",
            "exception.message": clean(str(exception)),
            "exception.stacktrace": clean(frames),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**described, **(attributes or {})}, timestamp)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and self.record and not self.ended:
            self.record_exception(error)
            self.set_status(StatusCode.ERROR, clean(f"{type(error).__name__}: {error}"))
        super().__exit__(kind, error, frames)


class UnsampledSpan(LightSpan):
    """Has ids, and keeps nothing of what is said about it."""

    __slots__ = ()
    recording = False

    def is_recording(self) -> bool:
        return False

    def end(self, end_time: int | None = None) -> None:
        """Nothing is exported."""

    def set_attribute(self, key: str, value: Any) -> None:
        """Nothing is kept."""

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Nothing is kept."""

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Nothing is kept."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Nothing is kept."""


#: A span that was over when it was told, of which all is said: tracer, name, kind, trace id, its
#: parent's id, correlation ID, attributes, start, end. It gets its own id when it is exported. A
#: tuple costs a tenth of an object, and statements are most of all spans.
WholeSpan = tuple["LightTracer", str, SpanKind, bytes, bytes, str, Fixed, int, int]


def unfolded(whole: WholeSpan) -> LightSpan:
    """The same as an object."""
    span = LightSpan(*whole[:7])
    span.started, span.ended = whole[7:]
    return span


#: Whether a new trace, or one whose parent is told, is sampled.
Decide = Callable[[bytes, bool | None], bool]


class LightTracer(Tracer):
    """Makes the spans of one instrumentation scope."""

    def __init__(self, provider: LightProvider, name: str, version: str) -> None:
        self.provider = provider
        self.name = name
        self.version = version
        self.ended = provider.ended

    def root(self, name: str, kind: SpanKind) -> LightSpan:
        """The first span of a trace."""
        try:
            trace_id = next_trace_id()
        except IndexError:
            trace_id = new_trace_id()
        sampled = self.provider.decide(trace_id, None)
        return (LightSpan if sampled else UnsampledSpan)(self, name, kind, trace_id)

    def whole(  # noqa: PLR0917  called for each statement
        self, name: str, kind: SpanKind, parent: Span, fixed: Fixed, started: int, ended: int
    ) -> WholeSpan | None:
        """A span that was over before anybody could look at it: one that the caller hands over
        with others by ``ended_together``, or None where it needed an object and is handed over."""
        if type(parent) is LightSpan and parent.trace_state is None:
            return (
                self,
                name,
                kind,
                parent.trace_id,
                parent.span_id,
                parent.correlation_id,
                fixed,
                started,
                ended,
            )
        span = self.start(name, kind, parent, fixed, started)
        if span.recording:
            span.ended = ended
            self.ended(span)
        return None

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: Span | None,
        fixed: Fixed | None = None,
        started: int = 0,
    ) -> LightSpan:
        """The quick way for our own spans: attributes as they are, a time as the clock gave it."""
        # isinstance() of a class that inherits from an abstract one takes four times as long.
        made: Any = type(parent)
        if made is LightSpan or made is UnsampledSpan:
            above = cast(LightSpan, parent)
            span: LightSpan = made(
                self, name, kind, above.trace_id, above.span_id, above.correlation_id, fixed
            )
            if above.trace_state is not None:
                span.trace_state = above.trace_state
        else:
            span = self._begin(name, kind, parent)
            span.fixed = fixed
        if not span.correlation_id:
            operation = current.get()
            if operation is not None:
                span.correlation_id = operation.correlation_id
        if started:
            span.started = started
        return span

    def _begin(self, name: str, kind: SpanKind, parent: Span | None) -> LightSpan:
        """A span whose parent is another kind of span, another service's, or nobody."""
        context = parent.get_span_context() if parent is not None else trace.INVALID_SPAN_CONTEXT
        if not context.is_valid:
            return self.root(name, kind)
        trace_id = context.trace_id.to_bytes(16, "big")
        sampled = self.provider.decide(trace_id, context.trace_flags.sampled)
        span = (LightSpan if sampled else UnsampledSpan)(self, name, kind, trace_id)
        span.parent_id = context.span_id.to_bytes(8, "big")
        span.parent_remote = context.is_remote
        span.trace_state = context.trace_state or None
        return span

    def start_span(  # noqa: PLR0917  OpenTelemetry's signature
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        parent = trace.get_current_span(context)
        operation = current.get()
        if operation is not None and operation.sampled:
            if operation.spans_left < 1:
                # What is begun below it is again a child of its parent, or dropped as well.
                self.provider.count_dropped("span_limit", 1)
                return trace.NonRecordingSpan(parent.get_span_context())
            operation.spans_left -= 1
        span = self.start(name, kind, parent)
        if span.recording:
            if attributes:
                span.set_attributes(attributes)
            if links:
                span.links = [link for link in links if link.context.is_valid][:MOST_LINKS]
            if start_time is not None:
                span.started = from_epoch(start_time)
            span.record = record_exception and set_status_on_exception
        return span

    @_agnosticcontextmanager
    def start_as_current_span(  # noqa: PLR0917
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(
            span,
            end_on_exit=end_on_exit,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
        ):
            yield span


class LightProvider(TracerProvider):
    """Gives tracers of light spans."""

    def __init__(
        self,
        decide: Decide,
        ended: Callable[[LightSpan], None],
        ended_together: Callable[[list[LightSpan | WholeSpan]], None],
        count_dropped: Callable[[str, int], None],
    ) -> None:
        self.decide = decide
        self.ended = ended
        self.ended_together = ended_together
        self.count_dropped = count_dropped
        self._tracers: dict[tuple[str, str], LightTracer] = {}

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,  # noqa: ARG002
        attributes: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> LightTracer:
        key = (instrumenting_module_name or "", instrumenting_library_version or "")
        tracer = self._tracers.get(key)
        if tracer is None:
            tracer = self._tracers[key] = LightTracer(self, *key)
        return tracer


def checked(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes that can be exported; others are left out with a WARNING."""
    kept: dict[str, Any] = {}
    for key, value in (attributes or {}).items():
        found = _value(key, value)
        if found is not None and len(kept) < MOST_ATTRIBUTES:
            kept[key] = found
    return kept


def _value(key: Any, value: Any) -> Any:
    """The value as it is exported, None for one that is not; what can change is copied."""
    if not isinstance(key, str) or not key:
        logger.warning("the key of a span's attribute must be a text: %r", key)
        return None
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Sequence) and all(
        item is None or isinstance(item, _PLAIN) for item in value
    ):
        return tuple(value)
    if value is not None:
        logger.warning("a span's attribute %s cannot be a %s", key, type(value).__name__)
    return None


def from_epoch(nanoseconds: int) -> int:
    """A time since the epoch on the clock of ``perf_counter_ns``."""
    return nanoseconds - time.time_ns() + perf()


def epoch_offset() -> int:
    """What makes a time since the epoch of one of ``perf_counter_ns``."""
    return time.time_ns() - perf()
