"""How long an answer takes while spans are exported: to nobody, to a receiver, to one that is dead
and to one that hangs. In turns within one run; the p99 of each beside that of no export.

    python -m benchmarks.latency [--rounds 20] [--requests 200]
"""

from __future__ import annotations

import argparse
import socket
import statistics
import time
from contextlib import ExitStack

from benchmarks import arena, variants
from testing.postgres import free_port
from testing.servers import Server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=200, help="in each turn")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        alive = stack.enter_context(arena.receiver())
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        endpoints = {
            "no export": "",
            "receiver alive": alive,
            "receiver dead": f"http://127.0.0.1:{free_port()}",
            "receiver hanging": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        servers = {}
        for name, endpoint in endpoints.items():
            exporter = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            servers[name] = Server(
                variants.VARIANTS[variants.OURS].command([]),
                {**environment, **(exporter if endpoint else {"OTEL_TRACES_EXPORTER": "none"})},
                name,
            )
            stack.callback(servers[name].stop)
        clients = {name: arena.Client(server.port) for name, server in servers.items()}
        path = variants.paths(clients["no export"])[variants.DETAIL]
        times: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(arguments.rounds + 1):
            for name, client in clients.items():
                for _ in range(arguments.requests):
                    started = time.perf_counter()
                    client.request("GET", path)
                    if number:  # the first round warms up
                        times[name].append(time.perf_counter() - started)
    print(f"{arena.machine()}; {arguments.rounds} rounds of {arguments.requests} requests in turns")
    quiet = percentile(times["no export"], 99)
    for name, taken in times.items():
        p99 = percentile(taken, 99)
        print(
            f"{name:18} median {statistics.median(taken) * 1e3:5.2f} ms, p99 {p99 * 1e3:5.2f} ms, "
            f"{p99 / quiet:.2f} of that without export"
        )


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    main()
