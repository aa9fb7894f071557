"""What the knobs of production do, measured: sampling, the batch processor, retention, workers.

    python -m benchmarks.tuning [sampling queue batch retention memory throughput]

Writes ``docs/tuning.json`` and draws it as ``docs/images/tuning.png``: the instructions of a
request by the share of traces that is kept (callgrind), the spans lost by queue and batch with a
slow receiver, the disk by the days that samples and spans are kept, memory and requests a second of
an instance by its workers. With names only those are measured anew.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks import arena, disk, instructions, variants
from benchmarks.curves import Curve, Points, draw, load, save, table
from testing.servers import Server, gunicorn
from tools.local.layout import ROOT

RESULTS = ROOT / "docs/tuning.json"
PICTURE = ROOT / "docs/images/tuning.png"
RATIOS = (0.0, 0.1, 0.5, 1.0)
QUEUES = (256, 512, 1024, 2048, 4096, 8192)
BATCHES = (64, 128, 256, 512, 1024, 2048)
WORKERS = (1, 2, 4, 8)
DAYS = (1, 3, 7, 15, 30, 60, 90)
#: Seconds that the slow receiver takes for a batch.
SLOW = 2.0
_BURST = 1500
#: Requests of each client in the curve of workers.
_EACH, _CLIENTS = 150, 16
#: Requests a second whose spans are stored, and instances, in the curves of retention.
_RATE, _INSTANCES = 10, 10


def value(server: Server, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(server.scrape())
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def sampling(requests: int = 120) -> Points:
    """Thousands of instructions of a detail request, by the share of traces that is kept."""
    found: Points = {}
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver())
        for ratio in RATIOS:
            folder = Path(tempfile.mkdtemp(prefix="callgrind-"))
            service = variants.VARIANTS[variants.OURS]
            server = Server(
                service.command(instructions.prefix(folder)),
                {
                    **environment,
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": str(ratio),
                    "PYTHONHASHSEED": "0",
                },
                ready="/api/schema/",
                ready_within=300,
            )
            try:
                found[ratio] = instructions.measure(server, folder, requests)[variants.DETAIL][0]
            finally:
                server.stop()
    return found


def lost(settings: dict[float, dict[str, str]]) -> Points:
    """Share of spans lost in a burst, by the variables of the batch processor; a slow receiver."""
    found: Points = {}
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver(SLOW))
        for key, variables in settings.items():
            server = Server(
                gunicorn(workers=1),
                {
                    **environment,
                    "OTEL_TRACES_EXPORTER": "otlp",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    **variables,
                },
            )
            try:
                client = arena.Client(server.port)
                path = client.first_expense()
                statements = value(server, "database_queries_total")
                for _ in range(_BURST):
                    client.request("GET", path)
                spans = _BURST + value(server, "database_queries_total") - statements
                dropped = value(server, "telemetry_spans_dropped_total", reason="queue_full")
                found[key] = dropped / spans
            finally:
                server.stop()
    return found


def queues() -> Points:
    return lost(
        {
            size: {
                "OTEL_BSP_MAX_QUEUE_SIZE": str(size),
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(min(size, 512)),
            }
            for size in QUEUES
        }
    )


def batches() -> Points:
    return lost({size: {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": str(size)} for size in BATCHES})


def retention(duration: float = 240, rate: float = 30) -> tuple[Points, Points]:
    """GB on disk by the days that samples of ten instances, and spans of ten requests a second,
    are kept: the bytes of a sample and of a span are measured, the days multiplied."""
    kept, traced = disk.measure(duration, rate)
    print(f"{disk.report(kept, traced)}\n", flush=True)
    own = kept.series - kept.of_instance
    samples = (own + _INSTANCES * kept.of_instance) / disk.SCRAPE_SECONDS
    log = samples * disk.WAL_SECONDS * kept.wal_bytes_each
    spans = _RATE * traced.number / traced.requests
    return (
        {days: (samples * days * disk.DAY * kept.bytes_each + log) / 1e9 for days in DAYS},
        {days: spans * days * disk.DAY * traced.bytes_each / 1e9 for days in DAYS},
    )


@contextmanager
def busy(number: int, environment: dict[str, str]) -> Iterator[tuple[Server, Callable[[], float]]]:
    """An instance of so many workers that has had work; the call sends as much again and returns
    the seconds that it took."""
    server = Server(gunicorn(workers=number), environment | {"WEB_CONCURRENCY": str(number)})
    try:
        clients = [arena.Client(server.port) for _ in range(_CLIENTS)]
        path = clients[0].first_expense()

        def send(client: arena.Client) -> None:
            for _ in range(_EACH):
                client.request("GET", path)

        def all_send() -> float:
            began = time.monotonic()
            with ThreadPoolExecutor(len(clients)) as pool:
                list(pool.map(send, clients))
            return time.monotonic() - began

        all_send()
        yield server, all_send
    finally:
        server.stop()


def memory() -> Points:
    """MB of an instance that has had work, by its workers."""
    found: Points = {}
    with arena.database() as environment:
        for number in WORKERS:
            with busy(number, environment) as (server, _):
                # Memory is measured every 15 seconds, by a thread that looks every 5.
                time.sleep(21)
                found[number] = value(server, "process_resident_memory_bytes") / 1e6
    return found


def throughput() -> Points:
    """Requests a second of an instance, by its workers."""
    found: Points = {}
    with arena.database() as environment:
        for number in WORKERS:
            with busy(number, environment) as (_, all_send):
                found[number] = _CLIENTS * _EACH / all_send()
    return found


def of_sampling() -> list[Curve]:
    title = "a detail request, telemetry and all"
    return [Curve(title, "share of traces kept", "thousand instructions", sampling())]


def of_queue() -> list[Curve]:
    return [Curve(_LOST, "OTEL_BSP_MAX_QUEUE_SIZE", "share", queues(), 3)]


def of_batch() -> list[Curve]:
    return [Curve(_LOST, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "share", batches(), 3)]


def of_retention() -> list[Curve]:
    samples, spans = retention()
    return [
        Curve(f"samples of {_INSTANCES} instances", "days kept", "GB", samples, 2),
        Curve(f"spans of {_RATE} requests a second", "days kept", "GB", spans, 2),
    ]


def of_memory() -> list[Curve]:
    return [Curve("memory of an instance", "WEB_CONCURRENCY", "MB", memory())]


def of_throughput() -> list[Curve]:
    title = f"detail requests of {_CLIENTS} clients"
    return [Curve(title, "WEB_CONCURRENCY", "a second", throughput())]


_LOST = f"spans lost of {_BURST} requests, {SLOW:g} s a batch"
#: In the order of the picture.
MEASURES: dict[str, Callable[[], list[Curve]]] = {
    "sampling": of_sampling,
    "queue": of_queue,
    "batch": of_batch,
    "retention": of_retention,
    "memory": of_memory,
    "throughput": of_throughput,
}


def in_order(curves: dict[str, Curve]) -> dict[str, Curve]:
    """``queue-0`` is the first curve of the measure ``queue``."""
    names = sorted(curves, key=lambda name: list(MEASURES).index(name.partition("-")[0]))
    return {name: curves[name] for name in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", choices=[[], *MEASURES], default=[])
    names = parser.parse_args().names or list(MEASURES)
    for name in names:
        measured = MEASURES[name]()
        # Another run may have written meanwhile.
        kept = load(RESULTS)
        for number, curve in enumerate(measured):
            kept[f"{name}-{number}"] = replace(curve, machine=arena.machine())
            print(f"{table(curve)}\n", flush=True)
        kept = in_order(kept)
        save(kept, RESULTS)
        draw(list(kept.values()), PICTURE)


if __name__ == "__main__":
    main()
