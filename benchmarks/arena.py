"""What the benchmarks share: a database with rows, a client, a receiver of spans, CPU times."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from testing.postgres import discard, free_port, temporary
from testing.servers import ROOT
from tools.local.machine import machine as machine  # noqa: PLC0414  asked of here

PASSWORD = "benchmark-only-1"


@contextmanager
def database(expenses: int = 2000) -> Iterator[dict[str, str]]:
    """A throw-away PostgreSQL with demo data; gives the environment that a server needs."""
    server = temporary()
    environment = {
        "DATABASE_URL": server.url(),
        "DEMO": "1",
        "DEMO_PASSWORD": PASSWORD,
        "DEMO_ADMIN_PASSWORD": PASSWORD,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PROMETHEUS_PORT": "0",
        "WEB_CONCURRENCY": "1",
    }
    try:
        for command in (
            ["migrate", "--verbosity", "0"],
            ["seed_demo", "--expenses", str(expenses), "--users", "1"],
        ):
            subprocess.run(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env={**os.environ, **environment, "OTEL_TRACES_EXPORTER": "none"},
                check=True,
                capture_output=True,
            )
        yield environment
    finally:
        discard(server)


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    delay = 0.0

    def do_POST(self) -> None:
        time.sleep(self.delay)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """A receiver says nothing."""


@contextmanager
def receiver(delay: float = 0.0) -> Iterator[str]:
    """An OTLP receiver in a process of its own, so that its work is nobody else's.

    ``delay`` is the time in seconds that it takes for each batch.
    """
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.arena", str(port), str(delay)]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Client:
    """One connection that is kept, with a token: what a busy REST client looks like."""

    port: int
    token: str = ""

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        self.token = self.request(
            "POST", "/api/v1/auth/login/", {"username": "demo1", "password": PASSWORD}
        )["token"]

    def request(self, method: str, path: str, body: object = None) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        content = json.dumps(body) if body is not None else None
        try:
            response = self._answer(method, path, content, headers)
        except http.client.RemoteDisconnected:
            if method != "GET":
                raise
            # The server closes what was idle for some seconds, while others had their turn.
            self.connection.close()
            response = self._answer(method, path, content, headers)
        read = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {read[:300]!r}")
        found: dict[str, str] = json.loads(read) if read else {}
        return found

    def _answer(
        self, method: str, path: str, content: str | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        self.connection.request(method, path, content, headers)
        return self.connection.getresponse()

    def first_expense(self) -> str:
        found: dict[str, list[dict[str, str]]] = self.request("GET", "/api/v1/expenses/?limit=1")  # type: ignore[assignment]
        return f"/api/v1/expenses/{found['results'][0]['id']}/"


def cpu_seconds(pid: int) -> float:
    """Time of one process on a CPU, that of all its threads (they live as long as it does).

    The scheduler counts nanoseconds; ``/proc/PID/stat`` has ticks of 10 ms.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[0]) for file in threads) / 1e9


def worker_of(master: int) -> int:
    """The only worker of a gunicorn with one."""
    with open(f"/proc/{master}/task/{master}/children") as file:  # noqa: PTH123
        (worker,) = file.read().split()
    return int(worker)


if __name__ == "__main__":
    _Receiver.delay = float(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), _Receiver).serve_forever()
