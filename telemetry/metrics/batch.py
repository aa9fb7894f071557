"""Everything that one request counts, written under one lock.

One by one, three observations are six locks and three looks at the clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from time import monotonic, time

from telemetry.metrics.metric import CounterChild, GaugeChild, HistogramChild
from telemetry.metrics.slots import store

#: Seconds that a bucket's exemplar stays before another trace takes its place: a scrape comes every
#: 15 seconds, and writing one costs as much as all numbers of a request.
EXEMPLAR_STAYS = 5.0


def record(
    observations: Iterable[tuple[CounterChild, HistogramChild, float]],
    trace_id: str = "",
    ended: GaugeChild | None = None,
    sums: Iterable[tuple[CounterChild, float]] = (),
    events: Iterable[CounterChild] = (),
) -> None:
    """Add 1 to each counter and observe the value beside it; ``trace_id`` of a sampled trace is the
    exemplar of all. What ``ended`` is taken off its gauge; ``sums`` are added to their counters.
    Each counter of ``events`` gets 1."""
    due: list[tuple[int, float]] = []
    now = monotonic() if trace_id else 0.0
    # `with`, though it takes longer than acquire() and release(): a signal handler that raises
    # between those would leave the lock taken. The memory is asked for after each call: a handler
    # that forks leaves other memory behind in the child.
    with store.lock:
        if ended is not None:
            store.cells[ended.slot] -= 1
        for counter, more in sums:
            store.cells[counter.slot] += more
        for counter in events:
            store.cells[counter.slot] += 1
        exemplar_due = store.exemplar_due
        for counter, histogram, value in observations:
            first = histogram.slot
            bucket = first + 1 + bisect_left(histogram.bounds, value)
            cells = store.cells
            cells[counter.slot] += 1
            cells[bucket] += 1
            cells[first] += value
            if trace_id and exemplar_due.get(bucket, 0.0) <= now:
                due.append((bucket, value))
        if due:
            store.set_exemplars(due, trace_id, time(), now + EXEMPLAR_STAYS)
