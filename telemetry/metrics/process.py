"""``process_*`` of the whole instance: the master and all its children together."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from typing import Any

from telemetry import processes
from telemetry.metrics import definitions
from telemetry.metrics.metric import Metric
from telemetry.metrics.store import Instance

_TRIES = 5


def measure(instance: Instance) -> Iterator[tuple[Metric[Any], float]]:
    """What is cheap to read at a scrape: a few small files for each process."""
    found = _all_processes(instance.master)
    if found:
        yield definitions.PROCESS_CPU, _cpu_seconds(found.values())
        started = processes.boot_time() + found[instance.master].start_ticks / processes.TICKS
    else:
        # The master has another user, and `/proc` shows this one's processes alone (hidepid). CPU
        # time is left out: without the master's it would fall when a worker ends.
        workers = {pid: processes.stat(pid) for pid in instance.workers()}
        found = {pid: stat for pid, stat in workers.items() if stat is not None}
        started = instance.began_at()
        if not found or not started:
            return
    yield definitions.PROCESS_START_TIME, started
    yield definitions.PROCESS_OPEN_FDS, sum(map(processes.open_descriptors, found))
    yield definitions.PROCESS_MAX_FDS, sum(map(processes.allowed_descriptors, found))
    yield definitions.PROCESS_WORKERS, len(instance.workers())


def cpu_seconds(master: int) -> float:
    """CPU time of a process, its living children and all that ended, in seconds."""
    return _cpu_seconds(_all_processes(master).values())


def _cpu_seconds(found: Iterable[processes.Stat]) -> float:
    return sum(one.own_ticks + one.ended_children_ticks for one in found) / processes.TICKS


def _all_processes(master: int) -> dict[int, processes.Stat]:
    """A process and its children, nothing when it is gone.

    Ended children count in the master's own figures from the moment it waits for them. A child
    that is waited for between two of the reads would be missed or counted twice, so it is read
    again until nobody was.
    """
    found: dict[int, processes.Stat] = {}
    for _ in range(_TRIES):
        before = processes.stat(master)
        if before is None:
            return {}
        found = {master: before}
        for child in processes.children(master):
            if (stat := processes.stat(child)) is not None:
                found[child] = stat
        after = processes.stat(master)
        if after is not None and after.ended_children_ticks == before.ended_children_ticks:
            break
    return found


def refresh_memory(instance: Instance) -> None:
    """Measure memory; it takes milliseconds for each process, so it is not done in a scrape."""
    pids = [instance.master, *processes.children(instance.master)]
    total = sum(processes.proportional_memory(pid) for pid in pids)
    if total:
        definitions.PROCESS_RESIDENT_MEMORY.child().set(total)
    if limit := processes.memory_limit():
        definitions.PROCESS_MEMORY_LIMIT.child().set(limit)
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
