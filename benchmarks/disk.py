"""Disk that this stack needs: bytes for a sample in Prometheus and for a span in Jaeger's Badger.

    python -m benchmarks.disk [--seconds 240] [--rate 30]

The whole system runs with the intervals of scrapes and rules divided by 30, so that 240 seconds
hold the scrapes of the two hours of a block. Then Prometheus makes a snapshot, whose block says
what it holds, and Jaeger is closed in order. ``--rate`` is in requests a second; a thirtieth of it
has as many requests between two scrapes at full length.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from benchmarks import arena
from monitoring.render import HERE, seconds
from testing.postgres import free_port
from testing.servers import poll
from tools.local import traffic
from tools.local.layout import PORTS, Layout
from tools.local.system import System

SPEED = 30
DAY = 86_400
SCRAPE_SECONDS = seconds(
    yaml.safe_load((HERE / "prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
)
JOB = "expense-tracker-api"
#: The head is cut when it spans one and a half blocks of two hours; until then its log is kept.
WAL_SECONDS = 3 * 3600


@dataclass(frozen=True)
class Samples:
    """What a block of the snapshot holds, and the log beside it."""

    number: int
    series: int
    of_instance: int
    chunk_bytes: int
    index_bytes: int
    wal_bytes: int

    @property
    def bytes_each(self) -> float:
        return (self.chunk_bytes + self.index_bytes) / self.number

    @property
    def wal_bytes_each(self) -> float:
        return self.wal_bytes / self.number


@dataclass(frozen=True)
class Spans:
    number: int
    requests: int
    disk_bytes: int

    @property
    def bytes_each(self) -> float:
        return self.disk_bytes / self.number


def on_disk(folder: Path) -> int:
    """Bytes that a folder takes, holes left out."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def value(layout: Layout, query: str) -> float:
    url = layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")
    (found,) = requests.get(url, {"query": query}, timeout=10).json()["data"]["result"]
    return float(found["value"][1])


def samples(layout: Layout) -> Samples:
    of_instance = value(layout, f'count({{job="{JOB}"}})')
    wal = on_disk(layout.folder / "prometheus" / "wal")
    url = layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/admin/tsdb/snapshot")
    name = requests.post(url, timeout=60).json()["data"]["name"]
    blocks = list((layout.folder / "prometheus" / "snapshots" / name).glob("*/meta.json"))
    stats = [json.loads(meta.read_text())["stats"] for meta in blocks]
    return Samples(
        number=sum(each["numSamples"] for each in stats),
        series=max(each["numSeries"] for each in stats),
        of_instance=int(of_instance),
        chunk_bytes=sum(_size(meta.parent / "chunks") for meta in blocks),
        index_bytes=sum((meta.parent / "index").stat().st_size for meta in blocks),
        wal_bytes=wal,
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def spans(system: System, sent: int) -> Spans:
    assert system.stack is not None
    assert system.api is not None
    # What it still had to export it does now.
    system.api.stop()
    counted = "sum(otelcol_receiver_accepted_spans_total)"
    # Two seconds are four scrapes.
    poll(
        lambda: value(system.layout, f"{counted} - {counted.replace(')', ' offset 2s)')}") == 0,
        30,
        "spans still come",
    )
    number = int(value(system.layout, counted))
    system.stack.end("jaeger")
    return Spans(number, sent, on_disk(system.layout.folder / "jaeger"))


def measure(duration: float, rate: float) -> tuple[Samples, Spans]:
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-disk-"))
    layout = Layout(folder, {name: free_port() for name in PORTS})
    system = System(layout, lambda _line: None, speed=SPEED)
    for name in ("DATABASE_URL", "DJANGO_SECRET_KEY", "PROMETHEUS_PORT", "OTEL_TRACES_EXPORTER"):
        os.environ.pop(name, None)
    try:
        system.start_service()
        system.start_stack()
        stack = system.stack
        assert stack is not None

        def ready() -> bool:
            stack.tick()
            return stack.ready == set(stack.parts)

        poll(ready, 60, "the stack does not answer")
        people = traffic.visitors(layout, layout.url("API_PORT"))
        seen = traffic.run(people, rate, duration, errors=1)
        return samples(layout), spans(system, sum(seen.values()))
    finally:
        system.stop()
        shutil.rmtree(folder, ignore_errors=True)


def gigabytes(number: float) -> str:
    return f"{number / 1e9:.2f}" if number < 1e10 else f"{number / 1e9:,.0f}"


def prometheus_table(found: Samples, interval: float) -> list[str]:
    """GB for so many instances, the stack's own series with them, for so many days."""
    days = (35, 90, 365)
    own = found.series - found.of_instance
    lines = ["| instances | series | " + " | ".join(f"{each} days" for each in days) + " |"]
    lines.append("|---|---|" + "---|" * len(days))
    for instances in (1, 10, 100):
        series = own + instances * found.of_instance
        rate = series / interval
        wal = rate * WAL_SECONDS * found.wal_bytes_each
        needed = (gigabytes(rate * each * DAY * found.bytes_each + wal) for each in days)
        lines.append(f"| {instances} | {series:,} | {' GB | '.join(needed)} GB |")
    return lines


def jaeger_table(found: Spans) -> list[str]:
    """GB for so many spans a second that are kept for so many days."""
    days = (1, 3, 7)
    each_request = found.number / found.requests
    lines = ["| requests a second | spans a second | " + " | ".join(f"{d} d" for d in days) + " |"]
    lines.append("|---|---|" + "---|" * len(days))
    for rate in (1, 10, 100):
        stored = rate * each_request * found.bytes_each
        needed = (gigabytes(stored * DAY * each) for each in days)
        lines.append(f"| {rate} | {rate * each_request:,.0f} | {' GB | '.join(needed)} GB |")
    return lines


def report(kept: Samples, traced: Spans) -> str:
    """What was measured, and the disk that it makes, as the docs show it."""
    return "\n".join(
        [
            f"Prometheus: {kept.number:,} samples of {kept.series:,} series "
            f"({kept.of_instance:,} of the instance): "
            f"{kept.chunk_bytes / kept.number:.2f} bytes a sample in chunks, "
            f"{kept.index_bytes / kept.number:.2f} in the index, {kept.bytes_each:.2f} together; "
            f"{kept.wal_bytes_each:.2f} in the write-ahead log",
            f"Jaeger: {traced.number:,} spans, {traced.number / traced.requests:.1f} a request, "
            f"{traced.bytes_each:,.0f} bytes each\n",
            *prometheus_table(kept, SCRAPE_SECONDS),
            "",
            *jaeger_table(traced),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--rate", type=float, default=30)
    given = parser.parse_args()
    kept, traced = measure(given.seconds, given.rate)
    print(f"{arena.machine()}; {given.seconds:g} s, {traced.requests} requests")
    print(report(kept, traced))


if __name__ == "__main__":
    main()
