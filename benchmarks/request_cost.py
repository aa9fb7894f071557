"""What telemetry adds to a request, as a share of what the usual assembly adds.

Four gunicorns with one worker each answer the same detail and list requests: the service bare, the
reference assembly (``benchmarks.reference_settings``), telemetry with every trace sampled and with
one in a hundred. JSON logs are on, spans go to an OTLP receiver, PostgreSQL is real. In short
turns in one run; the worker's own CPU time is read around each turn, exporting threads included.
CPU times swing with the machine's neighbours: ``benchmarks.instructions`` counts instructions.

    python -m benchmarks.request_cost [--rounds 120] [--requests 20]
"""

from __future__ import annotations

import argparse
import statistics

from benchmarks import arena, variants
from benchmarks.variants import BARE, REFERENCE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--requests", type=int, default=20, help="in each turn")
    parser.add_argument(
        "--only", choices=list(variants.VARIANTS), nargs="*", default=variants.USUAL
    )
    arguments = parser.parse_args()
    print(
        f"{arena.machine()}; {arguments.rounds} rounds of {arguments.requests} requests in turns",
        flush=True,
    )
    with variants.running(only=arguments.only) as servers:
        clients = {name: arena.Client(server.port) for name, server in servers.items()}
        workers = {name: arena.worker_of(server.process.pid) for name, server in servers.items()}
        for kind, path in variants.paths(clients[BARE]).items():
            costs: dict[str, list[float]] = {name: [] for name in servers}
            for number in range(arguments.rounds + 1):
                # There and back: whoever always came behind the same neighbour would find the
                # processor's caches as that one left them.
                turn = list(clients.items())[:: 1 if number % 2 else -1]
                for name, client in turn:
                    before = arena.cpu_seconds(workers[name])
                    for _ in range(arguments.requests):
                        client.request("GET", path)
                    spent = arena.cpu_seconds(workers[name]) - before
                    if number:  # the first round warms up
                        costs[name].append(spent / arguments.requests * 1e6)
            print("\n".join(report(kind, costs, "µs CPU")), flush=True)


def report(kind: str, costs: dict[str, list[float]], unit: str) -> list[str]:
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
