"""What telemetry adds to a request, as a share of what the usual assembly adds.

Four gunicorns with one worker each answer the same detail and list requests: the service bare, the
reference assembly (``benchmarks.reference_settings``), telemetry with every trace sampled and with
one in a hundred. JSON logs are on, spans go to an OTLP receiver, PostgreSQL is real. In short
turns in one run; the worker's own CPU time is read around each turn, exporting threads included.
CPU times swing with the machine's neighbours, and a process is lucky with its place in memory or
not for as long as it lives, so that all are started several times: ``benchmarks.instructions``
counts instructions.

    python -m benchmarks.request_cost [--starts 6] [--rounds 10] [--requests 100]
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks import arena, variants
from benchmarks.variants import BARE, REFERENCE
from testing.servers import Server

#: Of each variant, turn by turn.
Costs = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--starts", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=10, help="after each start")
    parser.add_argument("--requests", type=int, default=100, help="in each turn")
    parser.add_argument(
        "--only", choices=list(variants.VARIANTS), nargs="*", default=variants.USUAL
    )
    given = parser.parse_args()
    print(
        f"{arena.machine()}; {given.starts} starts, {given.rounds} rounds of {given.requests} "
        "requests in turns",
        flush=True,
    )
    costs: dict[str, Costs] = {}
    for _ in range(given.starts):
        with variants.running(only=given.only) as servers:
            for kind, found in measure(servers, given.rounds, given.requests).items():
                for name, times in found.items():
                    costs.setdefault(kind, {}).setdefault(name, []).extend(times)
    for kind, found in costs.items():
        print("\n".join(report(kind, found, "µs CPU")), flush=True)


def measure(servers: dict[str, Server], rounds: int, requests: int) -> dict[str, Costs]:
    """Microseconds of a request in each turn, by kind and variant."""
    clients = {name: arena.Client(server.port) for name, server in servers.items()}
    workers = {name: arena.worker_of(server.process.pid) for name, server in servers.items()}
    costs: dict[str, Costs] = {}
    for kind, path in variants.paths(clients[BARE]).items():
        costs[kind] = {name: [] for name in servers}
        for number in range(rounds + 1):
            # There and back: whoever always came behind the same neighbour would find the
            # processor's caches as that one left them.
            for name, client in list(clients.items())[:: 1 if number % 2 else -1]:
                before = arena.cpu_seconds(workers[name])
                for _ in range(requests):
                    client.request("GET", path)
                spent = arena.cpu_seconds(workers[name]) - before
                if number:  # the first round warms up
                    costs[kind][name].append(spent / requests * 1e6)
    return costs


def report(kind: str, costs: Costs, unit: str) -> list[str]:
    """A line for each variant: what it takes, what it adds, and that as a share.

    What it adds is the median over the rounds, each beside the bare of the same round: the machine
    is not as quick in one round as in the next.
    """

    def adds(name: str) -> float:
        pairs = zip(costs[name], costs[BARE], strict=True)
        return statistics.median(value - bare for value, bare in pairs)

    bare = statistics.median(costs[BARE])
    reference = adds(REFERENCE)
    lines = []
    for name in costs:
        added = adds(name)
        lines.append(
            f"{kind:7} {name:24} {added + bare:8.0f} {unit} a request, adds {added:7.0f}, "
            f"{added / reference:6.3f} of the reference"
        )
    return lines


if __name__ == "__main__":
    main()
