"""What the knobs of production do, measured: sampling, the queue of spans, the number of workers.

    python -m benchmarks.tuning [--picture docs/images/tuning.png]

Prints a table for each and draws them. How retention costs disk is ``benchmarks.disk``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import arena
from scripts.servers import Server, gunicorn

RATIOS = (0.0, 0.01, 0.1, 0.5, 1.0)
QUEUES = (128, 512, 1024, 2048, 4096)
WORKERS = (1, 2, 4, 8)
#: Seconds that the slow receiver takes for a batch.
SLOW = 0.3
_ROUNDS, _REQUESTS = 8, 300
_BURST = 1500

Points = dict[float, float]


def value(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(server.scrape())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def sampling() -> Points:
    """CPU time of a request in µs, by the share of traces that is kept; in turns in one run."""
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver())
        servers = {}
        for ratio in RATIOS:
            servers[ratio] = Server(
                gunicorn(workers=1),
                {
                    **environment,
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": str(ratio),
                },
            )
            stack.callback(servers[ratio].stop)
        clients = {ratio: arena.Client(server.port) for ratio, server in servers.items()}
        workers = {ratio: arena.worker_of(server.process.pid) for ratio, server in servers.items()}
        path = clients[1.0].first_expense()
        costs: dict[float, list[float]] = {ratio: [] for ratio in RATIOS}
        for number in range(_ROUNDS + 1):
            for ratio, client in clients.items():
                before = arena.cpu_seconds(workers[ratio])
                for _ in range(_REQUESTS):
                    client.request("GET", path)
                if number:  # the first round warms up
                    spent = arena.cpu_seconds(workers[ratio]) - before
                    costs[ratio].append(spent / _REQUESTS * 1e6)
    return {ratio: statistics.median(values) for ratio, values in costs.items()}


def queue() -> Points:
    """Share of spans lost in a burst, by the size of the queue, with a receiver that is slow."""
    found: Points = {}
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver(SLOW))
        for size in QUEUES:
            server = Server(
                gunicorn(workers=1),
                {
                    **environment,
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "OTEL_BSP_MAX_QUEUE_SIZE": str(size),
                    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(min(size, 512)),
                },
            )
            try:
                client = arena.Client(server.port)
                path = client.first_expense()
                statements = value(server, "database_queries_total")
                for _ in range(_BURST):
                    client.request("GET", path)
                spans = _BURST + value(server, "database_queries_total") - statements
                lost = value(server, "telemetry_spans_dropped_total", reason="queue_full")
                found[size] = lost / spans
            finally:
                server.stop()
    return found


def workers() -> tuple[Points, Points]:
    """Memory of an instance in MB, and its requests a second, by the number of workers."""
    memory: Points = {}
    throughput: Points = {}
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        for number in WORKERS:
            server = Server(
                gunicorn(workers=number), environment | {"WEB_CONCURRENCY": str(number)}
            )
            try:
                clients = [arena.Client(server.port) for _ in range(16)]
                path = clients[0].first_expense()

                def send(client: arena.Client, path: str = path) -> None:
                    for _ in range(200):
                        client.request("GET", path)

                with ThreadPoolExecutor(len(clients)) as pool:
                    list(pool.map(send, clients))
                    began = time.monotonic()
                    list(pool.map(send, clients))
                    throughput[number] = len(clients) * 200 / (time.monotonic() - began)
                # Memory is measured every 15 seconds, by a thread that looks every 5.
                time.sleep(21)
                memory[number] = value(server, "process_resident_memory_bytes")
            finally:
                server.stop()
    return {number: size / 1e6 for number, size in memory.items()}, throughput


def show(title: str, points: Points, word: Callable[[float], str]) -> None:
    print(title)
    for key, found in points.items():
        print(f"  {key:>6g}  {word(found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--picture", type=Path, default=Path("docs/images/tuning.png"))
    arguments = parser.parse_args()
    print(arena.machine(), flush=True)
    kept = sampling()
    show("share of traces kept: CPU time of a detail request", kept, lambda x: f"{x:.0f} µs")
    lost = queue()
    show(
        f"queue of spans, receiver of {SLOW:g} s a batch: spans lost in {_BURST} requests",
        lost,
        lambda x: f"{x:.1%}",
    )
    memory, throughput = workers()
    show("workers: memory of the instance", memory, lambda x: f"{x:.0f} MB")
    show("workers: detail requests a second of 16 clients", throughput, lambda x: f"{x:.0f}")
    figure, axes = plt.subplots(1, 4, figsize=(13, 3), layout="constrained")
    for place, points, title, unit in (
        (axes[0], kept, "share of traces kept", "µs CPU a request"),
        (axes[1], {k: v * 100 for k, v in lost.items()}, "OTEL_BSP_MAX_QUEUE_SIZE", "% lost"),
        (axes[2], memory, "WEB_CONCURRENCY", "MB of memory"),
        (axes[3], throughput, "WEB_CONCURRENCY", "requests a second"),
    ):
        place.plot(list(points), list(points.values()), marker="o")
        place.set_xlabel(title, fontsize=8)
        place.set_ylabel(unit, fontsize=8)
        place.set_ylim(bottom=0)
        place.tick_params(labelsize=7)
        place.grid(alpha=0.3)
    figure.savefig(arguments.picture, dpi=80)
    print(f"drawn: {arguments.picture}")


if __name__ == "__main__":
    main()
