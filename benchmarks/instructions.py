"""The same comparison as ``benchmarks.request_cost``, in instructions: callgrind counts them all.

Instructions in user space do not depend on the machine's neighbours. What runs by the clock and
not by the request (gunicorn's heartbeat, our refreshed gauges) would count fifty times too much,
because callgrind makes the worker so much slower: it is counted while nothing is asked, shown, and
taken off. Exports are in. Needs valgrind (``apt-get install valgrind``).

    python -m benchmarks.instructions [--requests 300]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import arena, variants
from benchmarks.request_cost import report
from scripts.servers import Server

_TOTAL = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)
#: Longer than the pause between two exports: what was asked for is also sent.
_SETTLE = 6.0
#: The next number tells apart the dumps of one process.
_WARM = 60
IDLE = "idle"
#: A whole round of what telemetry refreshes.
_IDLE_SECONDS = 30


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
    """Let exports end; the server closes connections that are idle so long."""
    client.connection.close()
    time.sleep(_SETTLE)


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
            instructions(worker, folder)
            time.sleep(_IDLE_SECONDS)
            found[IDLE] = [instructions(worker, folder) / _IDLE_SECONDS / 1000]
        instructions(worker, folder)
        started = time.monotonic()
        for _ in range(requests):
            client.request("GET", path)
        rest(client)
        idle = (time.monotonic() - started) * found[IDLE][0]
        found[kind] = [(instructions(worker, folder) / 1000 - idle) / requests]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=300)
    usual = [name for name in variants.VARIANTS if name != variants.SDK]
    parser.add_argument("--only", choices=list(variants.VARIANTS), nargs="*", default=usual)
    arguments = parser.parse_args()
    print(f"{arena.machine()}; callgrind, {arguments.requests} requests", flush=True)
    folders: dict[str, Path] = {}

    def under(name: str) -> list[str]:
        folders[name] = Path(tempfile.mkdtemp(prefix="callgrind-"))
        return prefix(folders[name])

    with variants.running(under, arguments.only, ready_within=300) as servers:
        costs = {
            name: measure(server, folders[name], arguments.requests)
            for name, server in servers.items()
        }
    for name, found in costs.items():
        print(f"idle    {name:24} {found[IDLE][0]:8.0f} k instructions a second")
    for kind in (variants.DETAIL, variants.LIST):
        if not {variants.BARE, variants.REFERENCE} <= costs.keys():
            print(kind, {name: round(found[kind][0]) for name, found in costs.items()})
            continue
        lines = report(kind, {name: found[kind] for name, found in costs.items()}, "k instructions")
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
