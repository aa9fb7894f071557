"""The same comparison as ``benchmarks.request_cost``, in instructions: callgrind counts them all.

Instructions in user space do not depend on the machine's neighbours, but callgrind makes a worker
some fifty times slower, and what runs by the clock does not slow down with it:

- gunicorn's heartbeat is counted while nothing is asked, shown, and taken off, with what else a
  worker does unasked; the gauges that telemetry refreshes every five seconds and exemplars that
  stay as long have clocks as much slower here (``benchmarks/slow_gunicorn.py``);
- a queue of spans that is sent every second would be sent every few requests. Under load it is full
  before: both queues wait a minute here, so that they are sent in their usual batches of 512 spans,
  and after each kind of request we wait until what is left was sent too.

Where objects lie in memory decides how often the allocator gives a whole page back and takes it
again, which is up to 45 thousand instructions of a list request more or less: ``--hash-seed`` lets
them lie elsewhere.

Needs valgrind (``apt-get install valgrind``); two variants at a time, each with its own count.

    python -m benchmarks.instructions [--requests 512] [--hash-seed 0]
    python -m benchmarks.instructions --signals
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import arena, variants
from benchmarks.request_cost import report
from testing.servers import Server

_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)
#: For both: milliseconds between two exports, the most that ours takes.
_DELAY = {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
#: Seconds until what was begun is over and the queue was sent.
_SETTLE = 64.0
#: The next number tells apart the dumps of one process.
_WARM = 60
IDLE = "idle"
_IDLE_SECONDS = 60.0


def prefix(folder: Path) -> list[str]:
    return [
        *("valgrind", "--tool=callgrind", "--trace-children=yes", "--quiet"),
        *("--instr-atstart=yes", f"--callgrind-out-file={folder}/%p.out"),
    ]


def instructions(pid: int, folder: Path) -> int:
    """Executed by the process since it was asked last."""
    before = set(folder.glob(f"{pid}.out*"))
    subprocess.run(["callgrind_control", "-d", str(pid)], check=True, capture_output=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for file in set(folder.glob(f"{pid}.out*")) - before:
            if found := _TOTAL.search(file.read_text()):
                return int(found.group(1))
        time.sleep(0.2)
    raise RuntimeError("callgrind wrote no counts")


def rest(client: arena.Client) -> None:
    """Let what was begun come to its end, and every span be sent."""
    client.connection.close()
    time.sleep(_SETTLE)


def idle_rate(worker: int, folder: Path) -> float:
    """Thousands of instructions of a second in which nothing is asked and no span waits."""
    instructions(worker, folder)
    started = time.monotonic()
    time.sleep(_IDLE_SECONDS)
    found = instructions(worker, folder)
    return found / (time.monotonic() - started) / 1000


def measure(server: Server, folder: Path, requests: int) -> dict[str, list[float]]:
    """Thousands of instructions: of a request of each kind, and of a second in which nothing is
    asked, which is taken off the others."""
    client = arena.Client(server.port)
    worker = arena.worker_of(server.process.pid)
    found: dict[str, list[float]] = {}
    for kind, path in variants.paths(client).items():
        for _ in range(_WARM):
            client.request("GET", path)
        rest(client)
        if IDLE not in found:
            found[IDLE] = [idle_rate(worker, folder)]
        instructions(worker, folder)
        started = time.monotonic()
        for _ in range(requests):
            client.request("GET", path)
        rest(client)
        idle = (time.monotonic() - started) * found[IDLE][0]
        found[kind] = [(instructions(worker, folder) / 1000 - idle) / requests]
        print(f"{server.name}, {kind}: {found[kind][0]:.0f} k", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=512)
    usual = [name for name in variants.USUAL if name != variants.SDK]
    parser.add_argument("--only", choices=list(variants.VARIANTS), nargs="*", default=usual)
    parser.add_argument("--hash-seed", default="0", help="PYTHONHASHSEED of every variant")
    parser.add_argument("--signals", action="store_true", help="what each signal costs")
    arguments = parser.parse_args()
    if arguments.signals:
        arguments.only = list(variants.SIGNALS)
    print(
        f"{arena.machine()}; callgrind, {arguments.requests} requests, "
        f"hash seed {arguments.hash_seed}",
        flush=True,
    )
    folders: dict[str, Path] = {}

    also = {**_DELAY, "PYTHONHASHSEED": arguments.hash_seed}

    def under(name: str) -> list[str]:
        folders[name] = Path(tempfile.mkdtemp(prefix="callgrind-"))
        return prefix(folders[name])

    with (
        variants.running(under, arguments.only, 300, also, variants.SLOWLY) as servers,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        measured = pool.map(
            lambda name: measure(servers[name], folders[name], arguments.requests), servers
        )
        costs = dict(zip(servers, measured, strict=True))
    for name, found in costs.items():
        print(f"idle    {name:24} {found[IDLE][0]:8.0f} k instructions a second")
    for kind in (variants.DETAIL, variants.LIST):
        if variants.REFERENCE not in costs:
            for name, found in costs.items():
                added = found[kind][0] - costs.get(variants.BARE, {kind: [0.0]})[kind][0]
                print(f"{kind:7} {name:26} {added:8.0f} k instructions a request above bare")
            continue
        lines = report(kind, {name: found[kind] for name, found in costs.items()}, "k instructions")
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
