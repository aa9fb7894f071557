"""Application servers as real processes: started, asked over sockets, stopped for sure.

For tests and benchmarks; a person starts the service with ``make up``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import requests

from testing.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent


class Server:
    """A server process in a session of its own; ``log_lines`` are what it wrote."""

    def __init__(
        self,
        command: Callable[[int], list[str]],
        environment: dict[str, str] | None = None,
        name: str = "",
        ready: str = "/health/live",
        ready_within: float = 30,
    ) -> None:
        self.name = name
        self.ready = ready
        self._patience = ready_within / 6
        self.port = free_port()
        self.metrics_port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="telemetry-server-"))
        self.log = self.folder / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command(self.port),
                cwd=ROOT,
                env={
                    **os.environ,
                    "PROMETHEUS_PORT": str(self.metrics_port),
                    "PROMETHEUS_MULTIPROC_DIR": str(self.folder / "metrics"),
                    "OTEL_TRACES_EXPORTER": "none",
                    "PYTHONWARNINGS": "default",
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.session = requests.Session()
        try:
            poll(self._answers, ready_within, f"{command(0)} did not answer")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended:\n{self.log.read_text()[-3000:]}")
        with suppress(requests.ConnectionError, requests.Timeout):
            return requests.get(self.url(self.ready), timeout=self._patience).status_code == 200
        return False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, **options: Any) -> requests.Response:
        """One request on a connection of its own, so that any worker may get it."""
        options.setdefault("timeout", 20)
        return requests.get(self.url(path), **options)

    def scrape(self, accept: str = "text/plain") -> str:
        return self.get("/metrics", headers={"Accept": accept}).text

    def log_lines(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def line_of(self, correlation_id: str, logger: str = "telemetry.request") -> dict[str, Any]:
        """The request's line; it may be written a moment after the answer."""

        def found() -> dict[str, Any] | None:
            for line in self.log.read_text().splitlines():
                if correlation_id in line and logger in line:
                    parsed: dict[str, Any] = json.loads(line)
                    return parsed
            return None

        line: dict[str, Any] = poll(found, 5, f"no line of {correlation_id}")
        return line

    def workers(self) -> list[int]:
        return sorted(
            int(file.name.split("-")[1]) for file in self.folder.glob("metrics/instance-*/worker-*")
        )

    def stop(self) -> None:
        self.session_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.session_signal(signal.SIGKILL)
            self.process.wait(5)

    def session_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def poll(condition: Callable[[], Any], seconds: float, problem: str) -> Any:
    """Ask until the answer is true. Raises AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{problem} within {seconds:g} s")
        time.sleep(0.05)


def gunicorn(
    worker_class: str = "gthread",
    workers: int = 2,
    application: str = "config.wsgi",
    settings: str = "config/gunicorn.conf.py",
) -> Callable[[int], list[str]]:
    return lambda port: [
        *(sys.executable, "-m", "gunicorn", "-c", settings, application),
        *("--bind", f"127.0.0.1:{port}"),
        *("--worker-class", worker_class, "--workers", str(workers)),
    ]


def uvicorn(
    workers: int = 2, application: str = "config.asgi:application"
) -> Callable[[int], list[str]]:
    return lambda port: [
        *(sys.executable, "-m", "uvicorn", application),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)),
        *("--log-config", "config/uvicorn.json"),
    ]


def runserver() -> Callable[[int], list[str]]:
    return lambda port: [
        *(sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"),
    ]


def make_database(name: str, settings: str) -> str:
    """A new, migrated database beside the one of ``DATABASE_URL``; returns its address."""
    address = urlsplit(os.environ["DATABASE_URL"])
    with psycopg.connect(address.geturl(), autocommit=True) as session:
        session.execute(f'DROP DATABASE IF EXISTS "{name}"')
        session.execute(f'CREATE DATABASE "{name}"')
    url = address._replace(path=f"/{name}").geturl()
    migrated = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": settings},
        check=False,
        capture_output=True,
        text=True,
    )
    assert migrated.returncode == 0, migrated.stderr[-2000:]
    return url
