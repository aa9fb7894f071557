"""Everything that one request counts, written under one lock.

Three observations one by one are three locks and three looks for an exemplar's place; as one batch
they cost a third (``docs/performance.md``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from time import time

from telemetry.metrics.metric import CounterChild, HistogramChild
from telemetry.metrics.slots import store

#: Seconds that a bucket's exemplar stays before another trace takes its place.
EXEMPLAR_STAYS = 0.1


def record(
    counters: Iterable[CounterChild],
    observations: Iterable[tuple[HistogramChild, float]],
    trace_id: str = "",
) -> None:
    """Add 1 to each counter and observe each value; ``trace_id`` of a sampled trace is their
    exemplar."""
    buckets = []
    with store.lock:
        cells = store.cells
        for counter in counters:
            cells[counter.slot] += 1
        for child, value in observations:
            first = child.slot
            bucket = first + 1 + bisect_left(child.bounds, value)
            cells[bucket] += 1
            cells[first] += value
            buckets.append((bucket, value))
        if trace_id:
            now = time()
            store.set_exemplars(buckets, trace_id, now, now - EXEMPLAR_STAYS)
