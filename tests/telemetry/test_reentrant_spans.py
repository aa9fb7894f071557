"""Spans that begin and end in signal handlers and finalizers, in the middle of any other span."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from testing.servers import ROOT

BEGIN = """
import gc, os, signal, sys, threading
from collections import Counter
import django
from django.conf import settings
settings.configure()
os.environ["OTEL_TRACES_EXPORTER"] = "console"
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from telemetry.tracing.light import LightProvider
from telemetry.tracing.processor import QueueProcessor


class Tracing:
    def __init__(self):
        self.queue = QueueProcessor()
        self.queue.reset()
        self.dropped = Counter()
        self.queue.count_dropped = lambda reason, spans: self.dropped.update({reason: spans})
        self.exporter = InMemorySpanExporter()
        self.queue.use(self.exporter)
        self.provider = LightProvider(
            lambda trace, parent: True, self.queue.add, self.queue.add_all, self.queue.dropped,
            queue=self.queue,
        )
        self.tracer = self.provider.get_tracer("test")

    def names(self):
        assert self.provider.force_flush(10_000)
        return sorted(span.name for span in self.exporter.get_finished_spans())
"""


def run(script: str, **environment: str) -> str:
    """What a process writes. A deadlock ends it, with where each thread stands."""
    begin = "import faulthandler; faulthandler.dump_traceback_later(140, exit=True)\n" + BEGIN
    done = subprocess.run(
        [sys.executable, "-c", begin + textwrap.dedent(script)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_a_span_may_end_at_every_line_of_another_ones_end() -> None:
    """Also while the export thread starts, and while a full batch wakes it."""
    out = run(
        """
        FILES = ("processor.py", "light.py", "threading.py", "ids.py", "values.py")

        def interrupted(point, prepare, act, nested):
            tracing = Tracing()
            prepare(tracing)
            events = 0

            def trace(frame, event, argument):
                nonlocal events
                if not frame.f_code.co_filename.endswith(FILES):
                    return trace
                if event == "line":
                    if events == point:
                        sys.settrace(None)
                        nested(tracing)
                    events += 1
                return trace

            sys.settrace(trace)
            try:
                act(tracing)
            finally:
                sys.settrace(None)
            return tracing, events

        def nothing(tracing):
            tracing.mine = tracing.tracer.start_span("outer")

        def nearly_a_batch(tracing):
            nothing(tracing)
            for number in range(3):
                tracing.tracer.start_span(f"waiting {number}").end()

        def whole(tracing):
            span = tracing.tracer.start_span("outer 2", attributes={"a": 1})
            span.add_event("event")
            span.end()
            tracing.mine.end()

        def other(tracing):
            span = tracing.tracer.start_span("nested", attributes={"b": 2})
            span.set_attribute("c", 3)
            span.end()

        def same(tracing):
            tracing.mine.end()

        waiting = [f"waiting {number}" for number in range(3)]
        for prepare, nested, others in (
            (nothing, other, ["nested"]),
            (nearly_a_batch, other, ["nested", *waiting]),
            (nothing, same, []),
        ):
            point = 0
            while True:
                tracing, events = interrupted(point, prepare, whole, nested)
                if point >= events:
                    break
                names = tracing.names()
                assert names == sorted(["outer", "outer 2", *others]), (point, names)
                assert not tracing.dropped
                point += 1
            print(point)
        """,
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="4",
        OTEL_BSP_SCHEDULE_DELAY="10",
    )

    assert all(int(points) > 40 for points in out.split())


def test_events_and_links_of_a_signal_handler_are_not_lost() -> None:
    run(
        """
        def interrupted(point):
            tracing = Tracing()
            span = tracing.tracer.start_span("span")
            events = 0

            def trace(frame, event, argument):
                nonlocal events
                if frame.f_code.co_filename.endswith("light.py") and event == "line":
                    if events == point:
                        sys.settrace(None)
                        span.add_event("nested")
                        span.set_attribute("nested", 1)
                    events += 1
                return trace

            sys.settrace(trace)
            span.add_event("outer")
            span.set_attribute("outer", 1)
            sys.settrace(None)
            span.end()
            tracing.names()
            (found,) = tracing.exporter.get_finished_spans()
            if point < events:
                assert sorted(event.name for event in found.events) == ["nested", "outer"], point
                assert dict(found.attributes) == {"nested": 1, "outer": 1}, point
            return point < events

        point = 0
        while interrupted(point):
            point += 1
        assert point > 5
        """
    )


def test_a_storm_of_signals_and_finalizers_loses_nothing_uncounted() -> None:
    out = run(
        """
        import random

        tracing = Tracing()
        made = 0
        gc.set_threshold(50)

        class Ends:
            def __init__(self, span):
                self.span = span
                self.cycle = self

            def __del__(self):
                self.span.end()

        def handler(*_):
            global made
            made += 2
            tracing.tracer.start_span("handler").end()
            Ends(tracing.tracer.start_span("finalizer"))

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for number in range(30_000):
            made += 1
            with tracing.tracer.start_as_current_span("main") as span:
                span.set_attribute("number", number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.collect()
        names = Counter(tracing.names())
        ids = {span.context.span_id for span in tracing.exporter.get_finished_spans()}
        exported = sum(names.values())
        assert exported == len(ids)
        assert exported + sum(tracing.dropped.values()) == made, (names, tracing.dropped, made)
        assert names["handler"] and names["finalizer"]
        assert set(tracing.dropped) <= {"queue_full"}
        print(exported)
        """,
        OTEL_BSP_SCHEDULE_DELAY="10",
        OTEL_BSP_MAX_QUEUE_SIZE="20000",
    )

    assert int(out) > 1000


def test_a_signal_that_stops_the_process_in_the_middle_of_a_span_exports_it() -> None:
    """As a server does: the handler shuts the export down and the process ends."""
    out = run(
        """
        tracing = Tracing()

        def stop(*_):
            tracing.tracer.start_span("in the handler").end()
            tracing.provider.shutdown()
            tracing.tracer.start_span("late").end()
            names = sorted(span.name for span in tracing.exporter.get_finished_spans())
            ended = Counter(names)
            total = sum(ended.values()) + tracing.dropped["shutdown"]
            print(ended["in the handler"], total - begun in (1, 2, 3), flush=True)
            os._exit(0)

        signal.signal(signal.SIGALRM, stop)
        begun = 0
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        while True:
            begun += 1
            tracing.tracer.start_span("main").end()
        """,
        OTEL_BSP_MAX_QUEUE_SIZE="10000000",
    )

    assert out.split() == ["1", "True"]
