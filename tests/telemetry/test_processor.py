"""The queue between ended spans and their exporter: bounded, counted, never in anybody's way."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from telemetry.tracing.processor import QueueProcessor
from testing.servers import poll


class Exporter(SpanExporter):
    """Takes spans as long as ``open`` is set."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.error = error
        self.open = threading.Event()
        self.open.set()
        self.names: list[str] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.open.wait(30)
        if self.error:
            raise self.error
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS


class Queue:
    """A processor of its own with an exporter, and what it dropped by reason."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.dropped: Counter[str] = Counter()
        self.processor = QueueProcessor()
        self.processor.reset()
        self.processor.count_dropped = self._count
        self.processor.use(exporter)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(self.processor)
        self.tracer = provider.get_tracer("test")

    def _count(self, reason: str, spans: int) -> None:
        self.dropped[reason] += spans

    def end_spans(self, number: int) -> None:
        for index in range(number):
            self.tracer.start_span(f"span {index}").end()


def ended_spans(number: int) -> list[ReadableSpan]:
    return [ReadableSpan(f"together {index}") for index in range(number)]


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "300")


def test_ended_spans_are_exported_in_order() -> None:
    exporter = Exporter()

    Queue(exporter).end_spans(5)

    poll(lambda: exporter.names == [f"span {n}" for n in range(5)], 5, "not exported")


def test_spans_that_end_together_are_taken_together_within_the_same_bound() -> None:
    exporter = Exporter()
    exporter.open.clear()
    queue = Queue(exporter)
    queue.end_spans(1)
    poll(lambda: not queue.processor._queue, 5, "the export did not begin")

    queue.processor.add_all(ended_spans(8))
    queue.processor.add_all(ended_spans(8))

    assert queue.dropped["queue_full"] == 6
    exporter.open.set()
    poll(lambda: len(exporter.names) == 1 + 10, 5, "spans are missing")


def test_a_full_batch_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    exporter = Exporter()
    queue = Queue(exporter)
    queue.end_spans(1)

    queue.processor.add_all(ended_spans(5))

    poll(lambda: len(exporter.names) == 6, 5, "nobody woke the thread")


def test_spans_that_end_together_after_the_stop_are_counted() -> None:
    queue = Queue(Exporter())
    queue.processor.shutdown()

    queue.processor.add_all(ended_spans(3))

    assert queue.dropped["shutdown"] == 3


def test_a_full_queue_drops_and_counts() -> None:
    exporter = Exporter()
    exporter.open.clear()
    queue = Queue(exporter)

    queue.end_spans(50)

    assert queue.dropped["queue_full"] >= 50 - 2 * 10
    exporter.open.set()
    poll(lambda: len(exporter.names) == 50 - queue.dropped["queue_full"], 5, "spans are missing")


def test_what_an_exporter_refuses_is_counted_and_the_thread_goes_on() -> None:
    exporter = Exporter(error=OSError("no route"))
    queue = Queue(exporter)

    queue.end_spans(3)
    poll(lambda: queue.dropped["export_failed"] == 3, 5, "the failure was not counted")
    exporter.error = None
    queue.end_spans(1)

    poll(lambda: exporter.names == ["span 0"], 5, "the thread did not go on")


def test_a_stop_exports_what_waits() -> None:
    exporter = Exporter()
    queue = Queue(exporter)
    queue.end_spans(4)

    queue.processor.shutdown()

    assert len(exporter.names) == 4


@pytest.mark.parametrize("what", ["shutdown", "force_flush"])
def test_a_stop_waits_for_what_is_on_its_way(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The thread that exports took the spans from the queue, and dies with the process."""
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "5000")
    exporter = Exporter()
    exporter.open.clear()
    queue = Queue(exporter)
    queue.end_spans(4)
    poll(lambda: not queue.processor._queue, 5, "the export did not begin")
    threading.Timer(0.2, exporter.open.set).start()

    getattr(queue.processor, what)()

    assert len(exporter.names) == 4


def test_a_stop_does_not_wait_longer_than_it_may_and_counts_what_is_left() -> None:
    exporter = Exporter()
    exporter.open.clear()
    queue = Queue(exporter)
    queue.end_spans(1)
    poll(lambda: not queue.processor._queue, 5, "the export did not begin")
    queue.end_spans(4)
    started = time.monotonic()

    queue.processor.shutdown()

    assert time.monotonic() - started < 5
    assert queue.dropped["shutdown"] == 4
    exporter.open.set()


def test_a_span_that_ends_after_the_stop_is_counted() -> None:
    queue = Queue(Exporter())
    queue.processor.shutdown()

    queue.end_spans(1)

    assert queue.dropped["shutdown"] == 1


def test_a_child_does_not_export_what_its_parent_queued() -> None:
    exporter = Exporter()
    exporter.open.clear()
    queue = Queue(exporter)
    queue.end_spans(5)
    reading, writing = os.pipe()

    child = os.fork()
    if child == 0:
        queue.processor.reset_after_fork()
        os.write(writing, str(len(queue.processor._queue)).encode())
        os._exit(0)

    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"0"
    exporter.open.set()
    for descriptor in (reading, writing):
        os.close(descriptor)
