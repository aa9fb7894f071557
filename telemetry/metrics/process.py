"""``process_*`` of the whole instance: the master and all its children together."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from typing import Any

from telemetry import processes
from telemetry.metrics import definitions, masters
from telemetry.metrics.metric import Metric
from telemetry.metrics.store import Instance

_TRIES = 5


def measure(instance: Instance) -> Iterator[tuple[Metric[Any], float]]:
    """What is cheap to read at a scrape: a few small files for each process."""
    found, cpu_ticks = _instance_processes(instance)
    if found:
        yield definitions.PROCESS_CPU, cpu_ticks / processes.TICKS
        started = processes.boot_time() + instance.start_ticks() / processes.TICKS
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
    return _cpu_ticks(_all_processes(master).values()) / processes.TICKS


def keep_cpu(instance: Instance) -> None:
    """Note the CPU time of this master, which ends while another one goes on."""
    _instance_processes(instance)


def _cpu_ticks(found: Iterable[processes.Stat]) -> int:
    return sum(one.own_ticks + one.ended_children_ticks for one in found)


def _instance_processes(instance: Instance) -> tuple[dict[int, processes.Stat], int]:
    """All living processes of an instance, and its CPU time in clock ticks, that of ended ones
    included; nothing where the process of its master cannot be seen."""
    listed = [] if instance.folder is None else masters.of(instance.folder)
    living = {one.pid: one for one in listed if one.is_alive}
    found: dict[int, processes.Stat] = {}
    for master in {instance.master, *living}:
        below = _all_processes(master)
        found.update(below)
        if len(listed) > 1 and master in living:
            # A new master begins as a child of the old one, and counts by itself.
            own = [stat for pid, stat in below.items() if pid == master or pid not in living]
            living[master].note_cpu_ticks(_cpu_ticks(own))
    if instance.master not in found:
        return {}, 0
    return found, _cpu_ticks(found.values()) + masters.ended_cpu_ticks(listed)


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
    pids = {pid for one in instance.masters() for pid in (one, *processes.children(one))}
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
