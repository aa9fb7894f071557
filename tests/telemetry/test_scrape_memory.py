"""What a scrape costs in memory as processes are added that have the same series.

A reader keeps each number of each process and where it stands, so its memory is a product: so
many bytes for a number of a process. Labels and lines are kept once for all processes.
"""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry import processes
from telemetry.metrics.directory import Series
from telemetry.metrics.reader import Reader
from telemetry.metrics.slots import ValueStore

BOUNDS = (*(f"{step}.0" for step in range(12)), "+Inf")
SERIES = 100
NUMBERS = SERIES * (1 + len(BOUNDS))
FEW, MANY = 2, 16

#: Bytes for a number of a process: kept, and on top of that while all numbers change. Measured on
#: Python 3.11: 138 to 190, by how full the two dictionaries of a source are, and 32.
KEPT = 200
WHILE_SCRAPING = 45


def write(store: ValueStore) -> None:
    """Change every number."""
    for index in range(SERIES):
        labels = f"/api/v1/some-rather-long-path/{index}/"
        slot = store.slot(
            Series("times", "histogram", "", "Times.", "", ("endpoint",), (labels,), BOUNDS)
        )
        for place in range(slot, slot + 1 + len(BOUNDS)):
            store.cells[place] += 1.5


@contextmanager
def writers(folder: Path, count: int) -> Iterator[Callable[[], None]]:
    """Living processes that have the same series; the call makes all of them write again."""
    told: dict[int, int] = {}
    done, send = os.pipe()

    def begin() -> None:
        orders, order = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for descriptor in (order, *told.values()):
                    os.close(descriptor)
                store = ValueStore()
                store.open(folder / f"process-{os.getpid()}-{processes.start_ticks(os.getpid())}")
                while os.read(orders, 1):
                    write(store)
                    os.write(send, b".")
            finally:
                os._exit(0)
        os.close(orders)
        told[pid] = order

    def write_all() -> None:
        for order in told.values():
            os.write(order, b".")
        for _ in told:
            assert os.read(done, 1) == b"."

    for _ in range(count):
        begin()
    try:
        yield write_all
    finally:
        for descriptor in (*told.values(), done, send):
            os.close(descriptor)
        for pid in told:
            os.waitpid(pid, 0)


def scraped(folder: Path, count: int) -> tuple[int, int]:
    """Bytes that a reader keeps after its third scrape, and what the peak was more than that."""
    folder.mkdir()
    reader = Reader(ValueStore(), folder)
    kept = peak = 0
    with writers(folder, count) as write_all:
        tracemalloc.start()
        try:
            for _ in range(3):
                write_all()
                tracemalloc.reset_peak()
                text = reader.read(openmetrics=False, exemplar_age=0)[0]
                assert text.count("\ntimes_bucket{") == SERIES * len(BOUNDS)
                del text
                gc.collect()
                kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            reader.close()
    return kept, peak - kept


def test_a_process_costs_so_many_bytes_for_each_of_its_numbers(tmp_path: Path) -> None:
    few_kept, few_peak = scraped(tmp_path / "few", FEW)
    many_kept, many_peak = scraped(tmp_path / "many", MANY)

    added = (MANY - FEW) * NUMBERS
    assert (many_kept - few_kept) / added < KEPT
    assert (many_peak - few_peak) / added < WHILE_SCRAPING
