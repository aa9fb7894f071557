"""A span processor with a bounded queue and a thread that exports; what is dropped is counted.

Instead of OpenTelemetry's own batch processor, which neither counts what it drops by reason nor
can be told to begin anew in a forked worker with an exporter of its own.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing.util
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from telemetry import settings
from telemetry.context import Operation, current
from telemetry.tracing import exporters
from telemetry.tracing.convert import ConvertingExporter
from telemetry.tracing.light import LightSpan, WholeSpan
from telemetry.tracing.suppression import suppressed

logger = logging.getLogger(__name__)

#: Told how many spans were dropped and why; metrics are counted by whoever connects the signals.
DropCounter = Callable[[str, int], None]

AnySpan = LightSpan | WholeSpan | ReadableSpan

#: Seconds between two exports at least, where ``OTEL_BSP_SCHEDULE_DELAY`` is 0.
_SHORTEST_DELAY = 0.01


def _nobody_counts(reason: str, spans: int) -> None:
    """Until somebody connects a counter."""


def _nothing_more() -> None:
    """Until a provider has processors of others."""


class QueueProcessor(SpanProcessor):
    """Queues ended spans and exports them from a thread of each process.

    ``on_end`` appends to a deque and never waits. A full queue drops the newest span.

    A span may end in a signal handler or in a finalizer (``__del__``), which Python runs in the
    middle of anything, of these methods too: what adds a span takes no lock that could be taken
    already, and each change of what is shared is one step.
    """

    def __init__(self) -> None:
        self.count_dropped: DropCounter = _nobody_counts
        #: Called once, when the export ends.
        self.at_shutdown: Callable[[], None] = _nothing_more
        self._exporter: exporters.Exporter | None = None
        self._chosen = False
        # Made on import, when a wrong variable cannot be told well: reset() reads them.
        self._limit = settings.OTEL_BSP_MAX_QUEUE_SIZE.default
        self._batch = settings.OTEL_BSP_MAX_EXPORT_BATCH_SIZE.default
        self._delay = settings.OTEL_BSP_SCHEDULE_DELAY.default / 1000
        self._begin()

    def dropped(self, reason: str, spans: int) -> None:
        """Count what was dropped, by whoever counts now."""
        self.count_dropped(reason, spans)

    def reset(self) -> None:
        """Begin anew: when the settings are there, or change, and in a child after a fork."""
        self._limit = settings.OTEL_BSP_MAX_QUEUE_SIZE.read()
        self._batch = min(settings.OTEL_BSP_MAX_EXPORT_BATCH_SIZE.read(), self._limit)
        self._delay = max(settings.OTEL_BSP_SCHEDULE_DELAY.read() / 1000, _SHORTEST_DELAY)
        self._begin()

    def _begin(self) -> None:
        self._queue: deque[AnySpan] = deque()
        # The one way to wake a thread that is documented to be reentrant; an Event has a lock.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._exporting = threading.Lock()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._failing = False

    def reset_after_fork(self) -> None:
        """A connection of the parent's exporter must not be shared; tests' own exporters stay."""
        if self._chosen and self._exporter is not None:
            self._chosen = False
            self._exporter = None
        self.reset()

    def use(self, exporter: SpanExporter) -> None:
        """Export to this one instead of the environment's choice."""
        self._exporter = ConvertingExporter(exporter, exporters.resource(), self.dropped)
        self._chosen = True

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing happens at a span's start."""

    def on_end(self, span: ReadableSpan) -> None:
        if span.context.trace_flags.sampled:
            self.add(span)

    def add(self, span: AnySpan) -> None:
        """Take a span that ended and is sampled."""
        if self._stopped:
            self.count_dropped("shutdown", 1)
            return
        if len(self._queue) >= self._limit:
            self.count_dropped("queue_full", 1)
            return
        self._queue.append(span)
        if self._has_stopped():
            self._take_back(span)
        elif self._thread is None:
            self._start()
        elif len(self._queue) == self._batch:
            self._wake.put(None)

    def add_all(self, spans: Sequence[AnySpan]) -> None:
        """Take spans that ended and are sampled, the whole of one piece of work."""
        waiting = len(self._queue)
        if self._stopped or waiting + len(spans) > self._limit or self._thread is None:
            for span in spans:
                self.add(span)
            return
        self._queue.extend(spans)
        if self._has_stopped():
            for span in spans:
                self._take_back(span)
        elif waiting < self._batch <= waiting + len(spans):
            self._wake.put(None)

    def _has_stopped(self) -> bool:
        """Asked again after a span was added: another thread may have stopped the export."""
        return self._stopped

    def _take_back(self, span: AnySpan) -> None:
        """The export ended while the span was added: count it, unless it was exported after all."""
        try:
            self._queue.remove(span)
        except ValueError:
            return
        self.count_dropped("shutdown", 1)

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            # Another thread starts it, or this one does: then we are in the middle of that.
            return
        try:
            if self._thread is not None or self._stopped:
                return
            thread = threading.Thread(target=self._run, name="telemetry-span-export", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The interpreter ends, or the system has no more threads. What waits is exported
                # at the end of the process, or by the next span that finds a thread.
                return
            self._thread = thread
            # For a process that nobody tells to stop: a command, a script, and a child of
            # multiprocessing, which ends without what atexit knows.
            atexit.register(self.shutdown)
            multiprocessing.util.Finalize(None, self.shutdown, exitpriority=0)
        finally:
            self._starting.release()

    def _run(self) -> None:
        # The exporter's own HTTP calls are no work of the service: no spans, no metrics.
        current.set(Operation("", quiet=True))
        wake = self._wake
        with suppressed():
            while not self._stopped:
                try:
                    wake.get(timeout=self._delay)
                    while True:
                        wake.get_nowait()
                except Empty:
                    pass
                self._export_all()

    def _export_all(self, deadline: float | None = None) -> bool:
        """Export what waits; False where that was not done by the deadline."""
        seconds = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._exporting.acquire(timeout=seconds):
            return False
        try:
            while self._queue:
                if deadline is not None and time.monotonic() > deadline:
                    return False
                spans: list[AnySpan] = []
                try:
                    while len(spans) < self._batch:
                        spans.append(self._queue.popleft())
                except IndexError:
                    # That was all; or a shutdown that may not wait longer took the rest.
                    pass
                if spans:
                    self._export(spans)
        finally:
            self._exporting.release()
        return True

    def _export(self, spans: list[AnySpan]) -> None:
        try:
            if not self._chosen:
                self._exporter = exporters.make(self.dropped)
                self._chosen = True
                if self._stopped and self._exporter is not None:
                    self._exporter.stop_retrying()
            if self._exporter is None:
                return
            refused = self._exporter.export(spans)
        except Exception as error:  # noqa: BLE001  an exporter's failure must not end the thread
            lost = getattr(error, "spans", None)
            problem = f"{type(error).__name__}: {error}"
        else:
            if refused:
                self.count_dropped("export_failed", refused)
            if self._failing:
                logger.info("spans are exported again")
            self._failing = False
            return
        self.count_dropped("export_failed", len(spans) if lost is None else lost)
        if not self._failing:
            self._failing = True
            logger.warning(
                "spans could not be exported by %s (%s); they are dropped and counted in "
                "telemetry_spans_dropped_total until it works again",
                settings.traces_exporter(),
                problem,
            )

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        if self._stopped or not self._busy():
            return True
        return self._flush(timeout_millis / 1000)

    def _busy(self) -> bool:
        """Whether spans wait, or are on their way: those have left the queue."""
        return bool(self._queue) or self._exporting.locked()

    def _flush(self, seconds: float | None) -> bool:
        """Export what waits, in a thread so that a hanging receiver cannot hold the caller.

        None for no limit but the exporter's own, which holds for each batch.
        """
        done = threading.Event()

        def flush() -> None:
            current.set(Operation("", quiet=True))
            with suppressed():
                self._export_all(None if seconds is None else time.monotonic() + seconds)
            done.set()

        thread = threading.Thread(target=flush, name="telemetry-span-flush", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # From Python 3.12 on there are no new threads while the interpreter ends; each export
            # is bounded by the exporter's own time-out.
            outside = current.get()
            flush()
            current.set(outside)
        return done.wait(seconds)

    def shutdown(self) -> None:
        """Export what waits within ``OTEL_BSP_EXPORT_TIMEOUT``, and count what could not be."""
        if self._stopped:
            return
        self._stopped = True
        self._wake.put(None)
        if self._exporter is not None:
            self._exporter.stop_retrying()
        if self._busy():
            milliseconds = settings.OTEL_BSP_EXPORT_TIMEOUT.read()
            self._flush(milliseconds / 1000 if milliseconds else None)
        left = 0
        try:
            # One by one: a span that another thread adds now is counted by either of the two.
            while True:
                self._queue.popleft()
                left += 1
        except IndexError:
            if left:
                self.count_dropped("shutdown", left)
        self.at_shutdown()
