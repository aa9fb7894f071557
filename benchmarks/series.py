"""What series cost Prometheus: its memory over a scrape target with so many of them.

A real Prometheus scrapes a synthetic exporter whose every counter grows between scrapes; one fresh
process for each size. Memory is the largest that the process held.

    python -m benchmarks.series [--sizes 10000 50000 100000] [--scrapes 12]
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
import yaml

from benchmarks import arena
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tools.local import stack
from tools.local.layout import Layout

#: Seconds between scrapes: quicker than shipped, so that a run is short.
INTERVAL = 5


def exporter(series: int) -> ThreadingHTTPServer:
    """Serves ``series`` counters, in names of a hundred series each."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            value = int(time.monotonic() * 1000)
            lines = (
                f'synthetic_{number // 100}_total{{endpoint="/api/v1/resource{number % 100}/",'
                f'method="GET",status="200"}} {value + number}'
                for number in range(series)
            )
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write("\n".join([*lines, ""]).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def memory(series: int, scrapes: int) -> tuple[int, float]:
    """The largest resident memory in bytes, and how long the last scrape took in seconds."""
    with tempfile.TemporaryDirectory(prefix="series-") as name:
        layout = Layout(Path(name), {"PROMETHEUS_SERVER_PORT": free_port()})
        layout.make()
        server = exporter(series)
        file = layout.folder / "prometheus.yml"
        target = {"targets": [f"127.0.0.1:{server.server_port}"]}
        job = {"job_name": "synthetic", "static_configs": [target]}
        file.write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": f"{INTERVAL}s"},
                    "scrape_configs": [job],
                }
            )
        )
        part = stack.prometheus(layout, file)
        part.start()
        try:
            assert part.wait_until_ready(20), part.last_words()
            assert part.process is not None
            poll(
                lambda: ask(layout, "count_over_time(up[1h])") >= scrapes,
                scrapes * INTERVAL * 3,
                f"{scrapes} scrapes did not happen",
            )
            assert ask(layout, 'count({job="synthetic",__name__=~"synthetic.+"})') == series
            return largest(part.process.pid), ask(layout, "scrape_duration_seconds")
        finally:
            part.stop()
            server.shutdown()


def largest(pid: int) -> int:
    """The largest resident memory that a process ever had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(found) * 1024


def ask(layout: Layout, expression: str) -> float:
    url = layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")
    found = requests.get(url, {"query": expression}, timeout=30).json()["data"]["result"]
    return float(found[0]["value"][1]) if found else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what series cost Prometheus.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 50_000, 100_000, 200_000])
    parser.add_argument("--scrapes", type=int, default=12)
    given = parser.parse_args()
    if find("prometheus") is None:
        parser.error("prometheus is not built: make tools")
    print(f"{arena.machine()}; {given.scrapes} scrapes, {INTERVAL} s apart\n")
    print("| series | memory, MB | scrape, s |\n|---|---|---|")
    for size in given.sizes:
        held, seconds = memory(size, given.scrapes)
        print(f"| {size:,} | {held / 1e6:.0f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
