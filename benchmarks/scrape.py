"""What a scrape takes, beside prometheus_client's multiprocess collector over the same numbers.

Real processes write the same series twice: into our store, through the metrics that telemetry
declares, and into prometheus_client's files. The writers live while the scrapes are timed, and
write again between them, so that the share of the numbers that changed is the one that is printed.
At last a thousand processes come, count and go, and the scrape is timed once more.

    python -m benchmarks.scrape [--rounds 20] [--dead 1000]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from benchmarks import arena

STATUSES = ("200", "400", "404", "500")
METHODS = ("GET", "PATCH")
SHARES = (0.0, 0.1, 1.0)


def names(endpoints: int) -> list[str]:
    return [f"/api/v1/resource{number}/{{id}}/" for number in range(endpoints)]


def write_ours(endpoints: list[str]) -> None:
    """What a worker counts that answered each endpoint with each of four statuses."""
    from telemetry.metrics import definitions

    for endpoint in endpoints:
        for method in METHODS:
            definitions.HTTP_REQUEST_DURATION.child(method, endpoint).observe(0.01, "0af7" * 8)
            for status in STATUSES:
                definitions.HTTP_REQUESTS.child(method, endpoint, status).inc()


def worker(folder: str, master: int, endpoints: int, orders: Any, done: Any) -> None:
    """Writes a share of the endpoints whenever told, until told None."""
    settings.configure()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    from prometheus_client import CollectorRegistry, Counter, Histogram
    from prometheus_client.values import MultiProcessValue

    from telemetry.metrics import definitions
    from telemetry.metrics.store import instance

    instance.share(master)
    definitions.create_all()
    ours = names(endpoints)
    write_ours(ours)

    from prometheus_client import values

    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(folder) / "theirs")
    values.ValueClass = MultiProcessValue()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    requests = Counter(
        "http_requests", "Requests.", ("method", "endpoint", "status"), registry=registry
    )
    duration = Histogram(
        "http_request_duration_seconds",
        "Durations.",
        ("method", "endpoint"),
        buckets=definitions.HTTP_REQUEST_DURATION.buckets,
        registry=registry,
    )

    def write_theirs(some: list[str]) -> None:
        for endpoint in some:
            for method in METHODS:
                duration.labels(method, endpoint).observe(0.01)
                for status in STATUSES:
                    requests.labels(method, endpoint, status).inc()

    write_theirs(ours)
    done.put(os.getpid())
    while (share := orders.get()) is not None:
        some = ours[: int(len(ours) * share)]
        write_ours(some)
        write_theirs(some)
        done.put(os.getpid())


@contextmanager
def workers(folder: str, count: int, endpoints: int) -> Iterator[Callable[[float], None]]:
    """Living workers; the call makes all of them write a share of their endpoints."""
    spawn = multiprocessing.get_context("spawn")
    done: Any = spawn.Queue()
    orders: list[Any] = [spawn.Queue() for _ in range(count)]
    writers = [
        spawn.Process(target=worker, args=(folder, os.getpid(), endpoints, order, done))
        for order in orders
    ]
    for writer in writers:
        writer.start()

    def wait() -> None:
        for _ in writers:
            done.get(timeout=120)

    def write(share: float) -> None:
        for order in orders:
            order.put(share)
        wait()

    wait()
    try:
        yield write
    finally:
        for order in orders:
            order.put(None)
        for writer in writers:
            writer.join()


def measure(count: int, endpoints: int, rounds: int, dead: int) -> list[str]:
    """Lines of figures. Runs in a process of its own, with a store of its own."""
    settings.configure()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        theirs = Path(folder) / "theirs"
        theirs.mkdir()
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        from telemetry.metrics import exposition
        from telemetry.metrics.store import install, instance

        # As in a service: prometheus_client's own collectors are not asked as well.
        install()
        instance.share(os.getpid())

        def reference() -> bytes:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(  # type: ignore[no-untyped-call]
                registry, str(theirs)
            )
            return bytes(generate_latest(registry))

        variants: dict[str, Callable[[], bytes]] = {
            "text": lambda: exposition.scrape().body,
            "OpenMetrics with exemplars": lambda: (
                exposition.scrape("application/openmetrics-text; version=1.0.0").body
            ),
        }
        found = []
        with workers(folder, count, endpoints) as write:
            lines = exposition.scrape().body.count(b"\n")
            found.append(f"{count} processes, {endpoints} endpoints, {lines} lines")
            for share in SHARES:
                times = turns(
                    [*variants.values(), reference], functools.partial(write, share), rounds
                )
                found += [
                    f"  {share:4.0%} changed, {name}: {ours * 1000:.1f} ms, "
                    f"{ours / times[-1]:.3f} of prometheus_client's {times[-1] * 1000:.0f} ms"
                    for name, ours in zip(variants, times, strict=False)
                ]
            if dead:
                bear = [sys.executable, "-m", "benchmarks.scrape", "--ghosts", str(dead)]
                bear += ["--folder", folder, "--master", str(os.getpid())]
                bear += ["--endpoints", str(endpoints)]
                found += after_deaths(bear, dead, rounds, variants, write)
    return found


def after_deaths(
    bear: list[str],
    dead: int,
    rounds: int,
    variants: dict[str, Callable[[], bytes]],
    write: Callable[[float], None],
) -> list[str]:
    """Lines of figures, with and without processes that came and went (``bear`` is the command)."""
    from telemetry.metrics.reader import REMAINDER
    from telemetry.metrics.store import instance

    subprocess.run(bear, check=True)
    started = time.perf_counter()
    instance.fold()
    folding = time.perf_counter() - started
    assert instance.folder is not None
    remainder = instance.folder / REMAINDER
    hidden = remainder.with_suffix(".hidden")
    scrapes = list(variants.values())

    def again(source: Path, target: Path) -> None:
        """With or without what the dead left, once it is known."""
        source.rename(target)
        for scrape in scrapes:
            scrape()
        write(0.1)

    # In turns: a neighbour that comes between the two would be taken for the dead.
    before: list[list[float]] = [[] for _ in scrapes]
    after: list[list[float]] = [[] for _ in scrapes]
    for _ in range(rounds):
        for place, scrape in enumerate(scrapes):
            again(remainder, hidden)
            before[place].append(timed(scrape))
            again(hidden, remainder)
            after[place].append(timed(scrape))
    files = list(instance.folder.iterdir())
    size = sum(file.stat().st_size for file in files) / 1e6
    return [
        f"  after {dead} dead processes, {name}: "
        f"{statistics.median(now) / statistics.median(then):.2f} of the scrape without them"
        for name, now, then in zip(variants, after, before, strict=True)
    ] + [f"  folding them took {folding:.1f} s; {len(files)} files, {size:.1f} MB on disk"]


def ghosts(folder: str, master: int, endpoints: int, dead: int) -> None:
    """Fork processes that count and are killed, one after the other."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    from telemetry.metrics import definitions
    from telemetry.metrics.store import instance

    instance.share(master)
    definitions.create_all()
    ours = names(endpoints)
    write_ours(ours)
    for _ in range(dead):
        child = os.fork()
        if child == 0:
            write_ours(ours)
            os._exit(0)
        os.waitpid(child, 0)


def timed(scrape: Callable[[], bytes]) -> float:
    started = time.perf_counter()
    scrape()
    return time.perf_counter() - started


def turns(
    variants: list[Callable[[], bytes]], between: Callable[[], None], rounds: int
) -> list[float]:
    """The median time of each variant in seconds, run in turns; something before each."""
    times: list[list[float]] = [[] for _ in variants]
    for _ in range(rounds):
        for taken, variant in zip(times, variants, strict=True):
            between()
            taken.append(timed(variant))
    return [statistics.median(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--dead", type=int, default=1000)
    parser.add_argument("--ghosts", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--master", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--endpoints", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    settings.configure()
    if given.ghosts:
        ghosts(given.folder, given.master, given.endpoints, given.ghosts)
        return
    print(f"{arena.machine()}; {given.rounds} rounds in turns")
    for count, endpoints, dead in ((2, 50, 0), (8, 200, given.dead)):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
            print("\n".join(alone.submit(measure, count, endpoints, given.rounds, dead).result()))


if __name__ == "__main__":
    main()
