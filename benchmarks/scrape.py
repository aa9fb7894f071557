"""What a scrape takes: 2 and 8 workers with 50 and 200 endpoints, after workers died as well.

The files are written by real processes through the metrics that telemetry declares; the scrape is
the one that ``/metrics`` answers with. prometheus_client's own collector over the same files
stands beside it.

    python -m benchmarks.scrape [--rounds 20]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from benchmarks import arena


def fill(master: int, endpoints: int) -> None:
    """What one worker writes that answered each endpoint with each of four statuses."""
    from telemetry.metrics import definitions
    from telemetry.metrics.store import instance, use_plain_values

    use_plain_values()
    instance.share(master)
    definitions.create_all()
    for number in range(endpoints):
        endpoint = f"/api/v1/resource{number}/{{id}}/"
        for method in ("GET", "PATCH"):
            definitions.HTTP_REQUEST_DURATION.child(method, endpoint).observe(0.01)
            for status in ("200", "400", "404", "500"):
                definitions.HTTP_REQUESTS.child(method, endpoint, status).inc()
    for number in range(30):
        definitions.DATABASE_QUERY_DURATION.child("SELECT", f"table{number}").observe(0.01)


def measure(workers: int, endpoints: int, rounds: int) -> str:
    """One line of figures. Runs in a process of its own, with a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        from telemetry.metrics import exposition
        from telemetry.metrics.store import instance

        instance.share(os.getpid())
        spawn = multiprocessing.get_context("spawn")
        writers = [
            spawn.Process(target=fill, args=(os.getpid(), endpoints)) for _ in range(workers)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
            if writer.exitcode:
                raise RuntimeError("a worker could not write its metrics")

        def reference() -> bytes:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(  # type: ignore[no-untyped-call]
                registry, str(instance.folder)
            )
            return bytes(generate_latest(registry))

        ours, theirs = turns([lambda: exposition.scrape().body, reference], rounds)
        lines = exposition.scrape().body.count(b"\n")
    return (
        f"{workers} processes, {endpoints} endpoints: {lines} lines, "
        f"{ours * 1000:.0f} ms, {ours / theirs:.2f} of prometheus_client's collector"
    )


def turns(variants: list[Callable[[], bytes]], rounds: int) -> list[float]:
    """The median time of each variant in seconds, run in turns."""
    times: list[list[float]] = [[] for _ in variants]
    for _ in range(rounds):
        for taken, variant in zip(times, variants, strict=True):
            started = time.perf_counter()
            variant()
            taken.append(time.perf_counter() - started)
    return [statistics.median(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(f"{arena.machine()}; {rounds} rounds in turns")
    for workers, endpoints in ((2, 50), (8, 200), (40, 200)):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
            print(alone.submit(measure, workers, endpoints, rounds).result())


if __name__ == "__main__":
    main()
