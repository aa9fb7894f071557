"""Memory of a worker over many requests: flat after a warm-up, or a leak.

Different paths, query strings, headers, correlation IDs, errors and statements, so that a cache
without a bound shows. Prints the worker's resident memory at ten points.

    python -m benchmarks.memory [--requests 50000] [--server uvicorn]
"""

from __future__ import annotations

import argparse
import random
from contextlib import ExitStack

from benchmarks import arena
from testing.servers import Server, gunicorn, uvicorn


def resident(pid: int) -> float:
    """Resident memory in MB."""
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--server", choices=["gunicorn", "uvicorn"], default="gunicorn")
    arguments = parser.parse_args()
    total = arguments.requests
    with ExitStack() as stack:
        environment = stack.enter_context(arena.database())
        endpoint = stack.enter_context(arena.receiver())
        environment |= {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        }
        asynchronous = arguments.server == "uvicorn"
        command = uvicorn(workers=1) if asynchronous else gunicorn(workers=1)
        server = Server(command, environment)
        stack.callback(server.stop)
        client = arena.Client(server.port)
        # uvicorn with one worker has no master above it.
        worker = server.process.pid if asynchronous else arena.worker_of(server.process.pid)
        source = random.Random(2026)
        detail = client.first_expense()
        print(f"{arena.machine()}; {arguments.server}, {total} requests", flush=True)
        seen = []
        for number in range(1, total + 1):
            send(client, source, detail)
            if number % (total // 10) == 0:
                seen.append(resident(worker))
                print(f"after {number:7} requests: {seen[-1]:6.1f} MB")
        print(f"from the second tenth to the last: {seen[-1] - seen[1]:+.1f} MB")


def send(client: arena.Client, source: random.Random, detail: str) -> None:
    word = f"{source.getrandbits(64):x}"
    path = source.choice(
        [detail, "/api/v1/expenses/?limit=5", f"/{word}/", f"/api/v1/expenses/?search={word}"]
    )
    headers = {
        "Authorization": f"Token {client.token}",
        "X-Correlation-ID": word,
        "User-Agent": word,
        "Traceparent": f"00-{source.getrandbits(128):032x}-{source.getrandbits(64):016x}-01",
    }
    client.connection.request("GET", path, headers=headers)
    client.connection.getresponse().read()


if __name__ == "__main__":
    main()
