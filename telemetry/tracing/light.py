"""Spans of OpenTelemetry's API that cost a tenth of the SDK's.

The SDK's span makes a lock, two bounded dictionaries and several copies for each span, and its
exporters build a protobuf message of each: three quarters of what tracing costs. Here a span is
the few things that were said about it; everything else is done by the exporting thread.

Whatever uses ``opentelemetry.trace`` works with them: ``get_current_span``, other libraries'
instrumentations, child spans of user code, span processors of the SDK (``add_span_processor``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
)
from opentelemetry.util._decorator import _agnosticcontextmanager

from telemetry.context import current
from telemetry.tracing import here
from telemetry.tracing.correlate import ATTRIBUTE
from telemetry.tracing.ids import new_span_id, new_trace_id, next_span_id, next_trace_id
from telemetry.tracing.span_limit import take_span
from telemetry.tracing.stack_trace import stack_trace
from telemetry.tracing.values import (
    INVALID,
    MOST_LOOKED_AT,
    as_text,
    attribute,
    attributes_of,
    epoch_offset,
    given_time,
    span_kind,
    unix_nanoseconds,
    warn_once,
)

if TYPE_CHECKING:
    from telemetry.tracing.span_processors import SpanProcessors

logger = logging.getLogger(__name__)

#: OpenTelemetry's default limits (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and the like).
MOST_ATTRIBUTES = 128
MOST_EVENTS = 128
MOST_LINKS = 128

_UNSET = StatusCode.UNSET
_INTERNAL = SpanKind.INTERNAL
#: Trace flags (W3C Trace Context Level 2): bit 0 says sampled, bit 1 that the trace id is random,
#: which ours are. The other bits have no meaning and are passed on as zero.
_SAMPLED, _RANDOM = int(TraceFlags.SAMPLED), int(TraceFlags.RANDOM_TRACE_ID)
_NEW_SAMPLED, _NEW_UNSAMPLED = _SAMPLED | _RANDOM, _RANDOM

perf = time.perf_counter_ns


def _as_it_is(text: str) -> str:
    return text


#: What takes secrets out of a message; whoever connects the signals sets it.
clean: Callable[[str], str] = _as_it_is


def type_of(error: BaseException) -> str:
    """Return the value of ``exception.type``: the class with its module, unless it is built in."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def described(error: BaseException) -> str:
    """Return what OpenTelemetry's status says of an exception: its class and its message."""
    return clean(f"{type(error).__name__}: {as_text(error)}")


class Fixed:
    """Attributes that many spans share: they are encoded once, with the name and kind of those."""

    __slots__ = ("attributes", "encoded", "kind", "name")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        #: By the exporting thread: for which name and kind, and the bytes.
        self.encoded = b""
        self.name: str | None = None
        self.kind = SpanKind.INTERNAL

    def without(self, given: Mapping[str, Any]) -> Fixed:
        """Those that ``given`` has not got: no key may come twice."""
        if given.keys().isdisjoint(self.attributes):
            return self
        return Fixed({key: value for key, value in self.attributes.items() if key not in given})


class Event:
    __slots__ = ("attributes", "name", "time")

    def __init__(self, name: str, when: int, attributes: dict[str, Any]) -> None:
        self.name = name
        #: As all times of spans, see ``telemetry.tracing.values``.
        self.time = when
        self.attributes = attributes


class LightSpan(Span):
    """A span that is recorded. Its times are explained in ``telemetry.tracing.values``.

    What tools read of a span of the SDK can be read of this one as well: see the properties.
    """

    # Slots, and each of them set: in Python 3.11 an attribute that hides one of its class is read
    # and written ten times as slowly.
    __slots__ = (
        "_context",
        "correlation_id",
        "description",
        "dropped_attributes",
        "dropped_events",
        "dropped_links",
        "ended",
        "fixed",
        "flags",
        "kind",
        "name",
        "on_exception",
        "parent_id",
        "parent_remote",
        "set_attribute_values",
        "set_events",
        "set_links",
        "span_id",
        "started",
        "status_code",
        "trace_id",
        "trace_state",
        "tracer",
        "unended",
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
        flags: int = _NEW_SAMPLED,
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
        self.flags = flags
        self.trace_state: TraceState | None = None
        self.correlation_id = correlation_id
        self.fixed = fixed
        #: What was set on this very span, beside what it shares with others.
        self.set_attribute_values: dict[str, Any] = {}
        self.dropped_attributes = 0
        # Lists from the beginning: a signal handler may append while something else does.
        self.set_events: list[Event] = []
        self.dropped_events = 0
        self.set_links: list[Link] = []
        self.dropped_links = 0
        self.status_code = _UNSET
        self.description: str | None = None
        #: Whether ``with span:`` records an exception, and whether it sets the status.
        self.on_exception = (True, True)
        self._context: SpanContext | None = None
        #: Taken away by the one call of ``end`` that counts.
        self.unended = True
        self.ended = 0
        self.started = perf()

    def get_span_context(self) -> SpanContext:
        context = self._context
        if context is None:
            context = self._context = SpanContext(
                int.from_bytes(self.trace_id, "big"),
                int.from_bytes(self.span_id, "big"),
                is_remote=False,
                trace_flags=TraceFlags(self.flags),
                trace_state=self.trace_state,
            )
        return context

    # What can be read of a span of the SDK (``ReadableSpan``).

    @property
    def context(self) -> SpanContext:
        return self.get_span_context()

    @property
    def parent(self) -> SpanContext | None:
        if not self.parent_id:
            return None
        return SpanContext(
            int.from_bytes(self.trace_id, "big"),
            int.from_bytes(self.parent_id, "big"),
            is_remote=self.parent_remote,
            trace_flags=TraceFlags(self.flags),
            trace_state=self.trace_state,
        )

    @property
    def attributes(self) -> Mapping[str, Any]:
        """A copy of all attributes. Telemetry sets its own when the span ends."""
        found = dict(self.fixed.attributes) if self.fixed else {}
        if self.correlation_id:
            found[ATTRIBUTE] = self.correlation_id
        return {**found, **self.set_attribute_values}

    @property
    def start_time(self) -> int:
        """Nanoseconds since the epoch."""
        return unix_nanoseconds(self.started, epoch_offset())

    @property
    def end_time(self) -> int | None:
        """Nanoseconds since the epoch, None while the span runs."""
        return unix_nanoseconds(self.ended, epoch_offset()) if self.ended else None

    @property
    def status(self) -> Status:
        return Status(self.status_code, self.description)

    @property
    def events(self) -> Sequence[SdkEvent]:
        offset = epoch_offset()
        return tuple(
            SdkEvent(event.name, event.attributes, unix_nanoseconds(event.time, offset))
            for event in self.set_events
        )

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self.set_links)

    @property
    def resource(self) -> Resource:
        return self.tracer.provider.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return InstrumentationScope(self.tracer.name, self.tracer.version)

    def is_recording(self) -> bool:
        return not self.ended

    def end(self, end_time: int | None = None) -> None:
        """``end_time`` in nanoseconds since the epoch, now if it is absent."""
        try:
            # One step that nothing interrupts: of two ends, one in a signal handler or in a
            # finalizer that runs in the middle of the other, one alone exports the span.
            del self.unended
        except AttributeError:
            logger.warning("span %r ended twice", self.name)
            return
        self.ended = perf() if end_time is None else given_time(end_time)
        self.tracer.ended(self)

    def set_attribute(self, key: str, value: Any) -> None:
        if self.ended:
            logger.warning("span %r has ended, %s is not set", self.name, key)
            return
        found = attribute(key, value)
        if found is INVALID:
            self.dropped_attributes += 1
        else:
            self._set(as_text(key), found)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if self.ended:
            logger.warning("span %r has ended, its attributes are not set", self.name)
            return
        found, dropped = attributes_of(attributes)
        self.dropped_attributes += dropped
        for key, value in found.items():
            self._set(key, value)

    def _set(self, key: str, value: Any) -> None:
        values = self.set_attribute_values
        if len(values) >= MOST_ATTRIBUTES and key not in values:
            self.dropped_attributes += 1
        else:
            values[key] = value

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        if self.ended:
            logger.warning("span %r has ended, event %r is not added", self.name, name)
            return
        if len(self.set_events) >= MOST_EVENTS:
            self.dropped_events += 1
            return
        when = perf() if timestamp is None else given_time(timestamp)
        self.set_events.append(Event(as_text(name), when, checked(attributes)))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        if self.ended:
            return
        # The SDK refuses the link as well; only the attributes of ours are checked one by one.
        if not issubclass(type(context), SpanContext) or not context.is_valid:
            warn_once("a span's link must have a valid SpanContext")
        elif len(self.set_links) >= MOST_LINKS:
            self.dropped_links += 1
        else:
            self.set_links.append(Link(context, checked(attributes)))

    def update_name(self, name: str) -> None:
        if not self.ended:
            self.name = as_text(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """OpenTelemetry's rule: OK is final, and nobody goes back to UNSET."""
        code: Any = status
        said: Any = description
        # Not isinstance(), which asks the object's own class: nothing may be raised here.
        if issubclass(type(status), Status):
            code, said = code.status_code, code.description
        if type(code) is not StatusCode:
            warn_once("a span's status must be a Status or a StatusCode")
            return
        if self.ended or self.status_code is StatusCode.OK or code is StatusCode.UNSET:
            return
        if said is not None and not issubclass(type(said), str):
            # The SDK leaves it out; an exception or a number says what somebody looks for.
            said = clean(as_text(said))
        self.status_code = code
        self.description = as_text(said) if code is StatusCode.ERROR else None

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        given: Any = exception
        if not issubclass(type(given), BaseException):
            warn_once(f"a span cannot record a {type(given).__name__} as an exception")
            return
        found = {
            "exception.type": type_of(exception),
            "exception.message": clean(as_text(exception)),
            "exception.stacktrace": stack_trace(exception, clean),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", {**found, **checked(attributes)}, timestamp)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            record_failure(self, error, *self.on_exception)
        super().__exit__(kind, error, frames)


def record_failure(span: Span, error: Exception, record: bool, set_status: bool) -> None:
    """Put an exception that left a span's block on the span, as a span of the API or of ours."""
    if not span.is_recording():
        return
    if record:
        span.record_exception(error, escaped=True)
    if set_status:
        span.set_status(Status(StatusCode.ERROR, described(error)))


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

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
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
#: parent's id, correlation ID, attributes, trace flags, start, end. It gets its own id when it is
#: exported. A tuple costs a tenth of an object, and statements are most of all spans.
WholeSpan = tuple["LightTracer", str, SpanKind, bytes, bytes, str, Fixed, int, int, int]


def unfolded(whole: WholeSpan) -> LightSpan:
    """The same as an object."""
    span = LightSpan(*whole[:8])
    span.started, span.ended = whole[8:]
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
        if self.provider.decide(trace_id, None):
            span = LightSpan(self, name, kind, trace_id)
            if (processors := self.provider.span_processors) is not None:
                processors.on_start(span, Context())
            return span
        return UnsampledSpan(self, name, kind, trace_id, flags=_NEW_UNSAMPLED)

    def whole(  # noqa: PLR0917  called for each statement
        self, name: str, kind: SpanKind, parent: Span, fixed: Fixed, started: int, ended: int
    ) -> WholeSpan | None:
        """A span that was over before anybody could look at it: one that the caller hands over
        with others by ``ended_together``, or None where it needed an object and is handed over."""
        if (
            type(parent) is LightSpan
            and parent.trace_state is None
            and self.provider.span_processors is None
        ):
            return (
                self,
                name,
                kind,
                parent.trace_id,
                parent.span_id,
                parent.correlation_id,
                fixed,
                parent.flags,
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
        span = self._below(name, kind, parent, fixed)
        if not span.correlation_id:
            operation = current.get()
            if operation is not None:
                span.correlation_id = operation.correlation_id
        if started:
            span.started = started
        if (processors := self.provider.span_processors) is not None and span.recording:
            above = trace.INVALID_SPAN if parent is None else parent
            processors.on_start(span, trace.set_span_in_context(above, Context()))
        return span

    def _below(
        self, name: str, kind: SpanKind, parent: Span | None, fixed: Fixed | None = None
    ) -> LightSpan:
        # isinstance() of a class that inherits from an abstract one takes four times as long.
        made: Any = type(parent)
        if made is LightSpan or made is UnsampledSpan:
            above = cast(LightSpan, parent)
            span: LightSpan = made(
                self,
                name,
                kind,
                above.trace_id,
                above.span_id,
                above.correlation_id,
                fixed,
                above.flags,
            )
            if above.trace_state is not None:
                span.trace_state = above.trace_state
        else:
            span = self._begin(name, kind, parent)
            span.fixed = fixed
        return span

    def _begin(self, name: str, kind: SpanKind, parent: Span | None) -> LightSpan:
        """A span whose parent is another kind of span, another service's, or nobody."""
        context = parent.get_span_context() if parent is not None else trace.INVALID_SPAN_CONTEXT
        if not context.is_valid:
            try:
                trace_id = next_trace_id()
            except IndexError:
                trace_id = new_trace_id()
            sampled, random = self.provider.decide(trace_id, None), _RANDOM
        else:
            trace_id = context.trace_id.to_bytes(16, "big")
            # A plain number where somebody made the context by hand.
            flags = context.trace_flags if isinstance(context.trace_flags, int) else 0
            sampled = self.provider.decide(trace_id, bool(flags & _SAMPLED))
            random = flags & _RANDOM
        made = LightSpan if sampled else UnsampledSpan
        span = made(self, name, kind, trace_id, flags=random | (_SAMPLED if sampled else 0))
        if context.is_valid:
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
        if operation is not None and operation.sampled and not take_span(operation):
            self.provider.count_dropped("span_limit", 1)
            # What is begun below it is again a child of its parent, or dropped as well.
            return trace.NonRecordingSpan(parent.get_span_context())
        span = self._below(as_text(name), span_kind(kind), parent)
        if operation is not None and not span.correlation_id:
            span.correlation_id = operation.correlation_id
        if span.recording:
            if attributes is not None:
                span.set_attributes(attributes)
            if links:
                _add_links(span, links)
            if start_time is not None:
                span.started = given_time(start_time)
            span.on_exception = (record_exception, set_status_on_exception)
            if (processors := self.provider.span_processors) is not None:
                processors.on_start(span, context)
        return span

    @_agnosticcontextmanager
    def start_as_current_span(  # noqa: PLR0917  OpenTelemetry's signature
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
        block = here.Block(span)
        try:
            yield span
        except Exception as error:
            record_failure(span, error, record_exception, set_status_on_exception)
            raise
        finally:
            block.leave()
            if end_on_exit:
                span.end()


def _add_links(span: LightSpan, links: Any) -> None:
    try:
        # The rest of an endless iterator is not asked for.
        given = list(islice(links, MOST_LOOKED_AT))
    except Exception:  # noqa: BLE001  no iterable, or one of the user's own that raises
        warn_once(f"a span's links must be a sequence, not a {type(links).__name__}")
        return
    for link in given:
        span.add_link(getattr(link, "context", link), getattr(link, "attributes", None))


class LightProvider(TracerProvider):
    """Gives tracers of light spans, and has what applications call of the SDK's provider.

    It is one of the SDK's by its class, which vendors ask for before they add a span processor; of
    the SDK's own parts it has the resource alone.
    """

    def __init__(  # noqa: PLR0917
        self,
        decide: Decide,
        ended: Callable[[LightSpan], None],
        ended_together: Callable[[list[LightSpan | WholeSpan]], None],
        count_dropped: Callable[[str, int], None],
        resource: Resource | None = None,
        queue: SpanProcessor | None = None,
    ) -> None:
        self.decide = decide
        self._ended = ended
        self._ended_together = ended_together
        self.count_dropped = count_dropped
        self._resource = resource or Resource.get_empty()
        #: Where ended spans wait for their export.
        self._queue = queue or SpanProcessor()
        #: None until somebody adds one: most applications have none, and pay nothing for them.
        self.span_processors: SpanProcessors | None = None
        self._light_tracers: dict[tuple[str, str], LightTracer] = {}

    def ended(self, span: LightSpan) -> None:
        """Take a span that ended, whoever ended it."""
        if self.span_processors is not None:
            self.span_processors.on_end([span])
        self._ended(span)

    def ended_together(self, spans: list[LightSpan | WholeSpan]) -> None:
        """Take the spans of one operation."""
        if self.span_processors is not None:
            self.span_processors.on_end(spans)
        self._ended_together(spans)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Call a processor of the SDK for each recorded span, beside our own export."""
        if self.span_processors is None:
            from telemetry.tracing.span_processors import SpanProcessors

            self.span_processors = SpanProcessors()
        self.span_processors.add(span_processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what waits, here and in every processor; whether that was done in time."""
        done = self.span_processors is None or self.span_processors.force_flush(timeout_millis)
        return self._queue.force_flush(timeout_millis) and done

    def shutdown(self) -> None:
        """End the export; spans that end later are counted as dropped."""
        self.shut_processors_down()
        self._queue.shutdown()

    def shut_processors_down(self) -> None:
        """End those that were added, each of them once."""
        if self.span_processors is not None:
            processors, self.span_processors = self.span_processors, None
            processors.shutdown()

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,  # noqa: ARG002
        attributes: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> LightTracer:
        key = (instrumenting_module_name or "", instrumenting_library_version or "")
        if type(key[0]) is not str or type(key[1]) is not str:
            key = (as_text(key[0]), as_text(key[1]))
        tracer = self._light_tracers.get(key)
        if tracer is None:
            tracer = self._light_tracers.setdefault(key, LightTracer(self, *key))
        return tracer


def checked(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Attributes that can be exported, at most ``MOST_ATTRIBUTES``."""
    found, _ = attributes_of(attributes)
    return found if len(found) <= MOST_ATTRIBUTES else dict([*found.items()][:MOST_ATTRIBUTES])
