"""CPU of one request with telemetry off and on, for a detail and a list request.

Two gunicorns with one worker each answer the same requests in turns; the worker's own CPU time is
read before and after each turn. Absolute times depend on the machine and its neighbours: the
ratio is the figure. JSON logs are on, spans go to an OTLP receiver, everything is sampled.

    python -m benchmarks.request_cost [--rounds 10] [--requests 400]
"""

from __future__ import annotations

import argparse
import statistics
from contextlib import ExitStack

from benchmarks import arena
from scripts.servers import Server, gunicorn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=400, help="in each turn")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver())
        on = {
            **environment,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        }
        variants = {
            "off": {**environment, "DJANGO_SETTINGS_MODULE": "benchmarks.bare_settings"},
            "on": on,
            "on, 1 % sampled": {
                **on,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            },
        }
        servers = {}
        for name, variant in variants.items():
            ready = "/api/schema/" if name == "off" else "/health/live"
            servers[name] = Server(gunicorn(workers=1), variant, name, ready=ready)
            stack.callback(servers[name].stop)
        measure(servers, arguments.rounds, arguments.requests)


def measure(servers: dict[str, Server], rounds: int, requests: int) -> None:
    clients = {name: arena.Client(server.port) for name, server in servers.items()}
    workers = {name: arena.worker_of(server.process.pid) for name, server in servers.items()}
    paths = {"detail": clients["off"].first_expense(), "list": "/api/v1/expenses/?limit=20"}
    print(f"{arena.machine()}; {rounds} rounds of {requests} requests in turns")
    for kind, path in paths.items():
        costs: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(rounds + 1):
            for name, client in clients.items():
                before = arena.cpu_seconds(workers[name])
                for _ in range(requests):
                    client.request("GET", path)
                spent = arena.cpu_seconds(workers[name]) - before
                if number:  # the first round warms up
                    costs[name].append(spent / requests * 1e6)
        bare = statistics.median(costs["off"])
        for name, values in costs.items():
            cost = statistics.median(values)
            print(
                f"{kind:7} {name:16} {cost:7.0f} µs CPU a request, "
                f"{cost / bare:.2f} of bare, added {cost - bare:+.0f} µs"
            )


if __name__ == "__main__":
    main()
