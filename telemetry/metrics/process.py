"""``process_*`` of the whole instance: the master and all its children together."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from telemetry import processes
from telemetry.metrics import definitions
from telemetry.metrics.metric import Metric
from telemetry.metrics.store import Instance

_TRIES = 5


class InstanceCollector(Collector):
    """Measures at the scrape what is cheap to read: a few small files for each process."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance

    def collect(self) -> Iterable[CounterMetricFamily | GaugeMetricFamily]:
        master = processes.stat(self.instance.master)
        if master is None:
            return
        pids = [self.instance.master, *processes.children(self.instance.master)]
        yield _family(definitions.PROCESS_CPU, cpu_seconds(self.instance.master))
        started = processes.boot_time() + master.start_ticks / processes.TICKS
        yield _family(definitions.PROCESS_START_TIME, started)
        yield _family(
            definitions.PROCESS_OPEN_FDS, sum(processes.open_descriptors(pid) for pid in pids)
        )
        yield _family(
            definitions.PROCESS_MAX_FDS, sum(processes.allowed_descriptors(pid) for pid in pids)
        )
        yield _family(definitions.PROCESS_WORKERS, len(self.instance.workers()))


def _family(definition: Metric[Any], value: float) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
    return kind(definition.name, definition.documentation, value=value)


def cpu_seconds(master: int) -> float:
    """CPU time of a process, its living children and all that ended, in seconds.

    Ended children count in the master's own figures from the moment it waits for them. A child
    that is waited for between two of the reads would be missed or counted twice, so it is read
    again until nobody was.
    """
    ticks = 0
    for _ in range(_TRIES):
        before = processes.stat(master)
        if before is None:
            return math.nan
        ticks = before.own_ticks + before.ended_children_ticks
        for child in processes.children(master):
            found = processes.stat(child)
            if found is not None:
                ticks += found.own_ticks + found.ended_children_ticks
        after = processes.stat(master)
        if after is not None and after.ended_children_ticks == before.ended_children_ticks:
            break
    return ticks / processes.TICKS


def refresh_memory(instance: Instance) -> None:
    """Measure memory; it takes milliseconds for each process, so it is not done in a scrape."""
    pids = [instance.master, *processes.children(instance.master)]
    total = sum(processes.proportional_memory(pid) for pid in pids)
    if total:
        definitions.PROCESS_RESIDENT_MEMORY.child().set(total)
    workers = [processes.stat(pid) for pid in instance.workers()]
    largest = max((worker.resident_bytes for worker in workers if worker), default=0)
    if largest:
        definitions.PROCESS_WORKER_MAX_RESIDENT_MEMORY.child().set(largest)


class CollectorRuns:
    """Python's garbage collector in this process, from the moment it was forked."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._before = gc.get_stats()

    def refresh(self) -> None:
        for generation, (now, before) in enumerate(zip(gc.get_stats(), self._before, strict=True)):
            for metric, key in _COLLECTOR_COUNTERS:
                metric.child(str(generation)).set(now[key] - before[key])


_COLLECTOR_COUNTERS = (
    (definitions.GC_COLLECTIONS, "collections"),
    (definitions.GC_COLLECTED, "collected"),
    (definitions.GC_UNCOLLECTABLE, "uncollectable"),
)
