"""What a scrape costs in memory as processes are added that have the same series.

Labels, lines and totals are kept once for all processes, and while they are added up, the numbers
of ten processes are in memory. What is kept for a process is where its numbers stand: nothing where
another process has the same names in the same order, otherwise a pointer for each number; and 16
bytes for the place of each exemplar.
"""

from __future__ import annotations

import gc
import os
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from telemetry import processes
from telemetry.metrics.directory import Series
from telemetry.metrics.reader import Reader
from telemetry.metrics.slots import ValueStore

BOUNDS = (*(f"{step}.0" for step in range(12)), "+Inf")
PATH = "/api/v1/some-rather-long-path/"
SERIES = 400
NUMBERS = SERIES * (1 + len(BOUNDS))
#: More than are added up at once, and twice as many.
FEW, MANY = 20, 40

#: Bytes for a number of a process that is added. Measured on Python 3.11: 0.24 where its names
#: stand in the order of another's (the 1,350 bytes of a process itself), and 8.31 in their own.
KEPT = {"same order": 1.0, "own order": 9.0}
#: And for an exemplar: 20.1, a process' bytes among them.
KEPT_FOR_EXEMPLAR = 25
#: On top of that while all numbers change: 0.02, and up to 0.13 where the interpreter keeps some
#: kilobytes of its own (1,000 processes' numbers in memory at once would be 8 and more).
WHILE_SCRAPING = 1.0


def write(store: ValueStore, order: str, *, exemplars: bool) -> None:
    """Change every number."""
    indexes = list(range(SERIES))
    if order == "own order":
        random.Random(os.getpid()).shuffle(indexes)
    for index in indexes:
        labels = f"{PATH}{index}/"
        slot = store.slot(
            Series("times", "histogram", "", "Times.", "", ("endpoint",), (labels,), BOUNDS)
        )
        for place in range(slot, slot + 1 + len(BOUNDS)):
            store.cells[place] += 1.5
        if exemplars:
            store.set_exemplar(slot + 1, b'trace_id="%032d"' % index, 0.5, time.time())


@contextmanager
def writers(
    folder: Path, count: int, order: str, *, exemplars: bool
) -> Iterator[Callable[[], None]]:
    """Living processes that have the same series; the call makes all of them write again."""
    told: dict[int, int] = {}
    done, send = os.pipe()

    def begin() -> None:
        orders, send_order = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for descriptor in (send_order, *told.values()):
                    os.close(descriptor)
                store = ValueStore()
                store.open(folder / f"process-{os.getpid()}-{processes.start_ticks(os.getpid())}")
                while os.read(orders, 1):
                    write(store, order, exemplars=exemplars)
                    os.write(send, b".")
            finally:
                os._exit(0)
        os.close(orders)
        told[pid] = send_order

    def write_all() -> None:
        for told_one in told.values():
            os.write(told_one, b".")
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


def scraped(folder: Path, count: int, order: str, *, exemplars: bool = False) -> tuple[int, int]:
    """Bytes that a reader keeps after its third scrape, and what the peak was more than that."""
    folder.mkdir()
    reader = Reader(ValueStore(), folder)
    kept = peak = 0
    with writers(folder, count, order, exemplars=exemplars) as write_all:
        tracemalloc.start()
        try:
            for turn in range(1, 4):
                write_all()
                tracemalloc.reset_peak()
                text = reader.read(openmetrics=exemplars, exemplar_age=600)[0]
                assert text.count("\ntimes_bucket{") == SERIES * len(BOUNDS)
                assert text.count("# {trace_id=") == (SERIES if exemplars else 0)
                total = 1.5 * turn * count * len(BOUNDS)
                assert f'times_count{{endpoint="{PATH}7/"}} {total!r}\n' in text
                del text
                gc.collect()
                kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            reader.close()
    return kept, peak - kept


@pytest.mark.parametrize("order", KEPT)
def test_a_process_costs_little_and_a_scrape_no_more_for_it(tmp_path: Path, order: str) -> None:
    few_kept, few_peak = scraped(tmp_path / "few", FEW, order)
    many_kept, many_peak = scraped(tmp_path / "many", MANY, order)

    added = (MANY - FEW) * NUMBERS
    assert (many_kept - few_kept) / added < KEPT[order]
    assert (many_peak - few_peak) / added < WHILE_SCRAPING


def test_an_exemplar_of_a_process_costs_little(tmp_path: Path) -> None:
    few_kept, few_peak = scraped(tmp_path / "few", FEW, "same order", exemplars=True)
    many_kept, many_peak = scraped(tmp_path / "many", MANY, "same order", exemplars=True)

    assert (many_kept - few_kept) / ((MANY - FEW) * SERIES) < KEPT_FOR_EXEMPLAR
    assert (many_peak - few_peak) / ((MANY - FEW) * NUMBERS) < WHILE_SCRAPING
