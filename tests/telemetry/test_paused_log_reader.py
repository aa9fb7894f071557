"""Standard error that takes nothing: requests go on, what is lost is counted, no line is broken."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from telemetry.logs.standard_error import DROP_REASONS
from telemetry.metrics.definitions import LOG_DROP_REASONS
from testing.postgres import free_port
from testing.servers import ROOT, gunicorn, poll, uvicorn
from tests.conftest import samples

SITE = "tests.telemetry.site"
DROPPED = "telemetry_log_lines_dropped_total"


class Reader:
    """The read end of a service's standard error, which a test pauses and lets go on."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.received = bytearray()
        self._reads = threading.Event()
        self._reads.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            self._reads.wait()
            try:
                piece = os.read(self.descriptor, 65536)
            except OSError:  # a terminal whose last writer is gone
                return
            if not piece:
                return
            self.received += piece

    def pause(self, wake: Callable[[], object]) -> None:
        """The thread may sit in a read: ``wake`` makes the service write something."""
        self._reads.clear()
        wake()
        time.sleep(0.2)

    def resume(self) -> None:
        self._reads.set()

    def join(self) -> None:
        self._reads.set()
        self._thread.join(10)
        assert not self._thread.is_alive(), "somebody still holds standard error open"

    def lines(self) -> list[dict[str, Any]]:
        """Every complete line, each of which must be JSON."""
        text = self.received.decode().replace("\r\n", "\n")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


class Service:
    """A service whose standard error is ``stderr``."""

    def __init__(
        self,
        command: Callable[[int], list[str]],
        database: str,
        folder: Path,
        stderr: int,
        **environment: str,
    ) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            command(self.port),
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": database,
                "DJANGO_SETTINGS_MODULE": f"{SITE}.settings",
                "PROMETHEUS_PORT": "0",
                "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
                "OTEL_TRACES_EXPORTER": "none",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        poll(self._answers, 30, "the service did not answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, "the service ended"
        try:
            return self.get("/health/live").status_code == 200
        except requests.ConnectionError:
            return False

    def get(self, path: str, timeout: float = 5) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=timeout)

    def dropped(self) -> dict[str, float]:
        found = samples(self.get("/metrics").text)
        return {reason: found[DROPPED, frozenset({("reason", reason)})] for reason in DROP_REASONS}

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)


Start = Callable[..., Service]


@pytest.fixture
def start(servers_database: str, tmp_path: Path) -> Iterator[Start]:
    started: list[Service] = []

    def begin(command: Callable[[int], list[str]], stderr: int, **environment: str) -> Service:
        service = Service(command, servers_database, tmp_path, stderr, **environment)
        started.append(service)
        return service

    yield begin
    for service in started:
        service.kill()


def piped() -> tuple[int, int]:
    return os.pipe()


def socketed() -> tuple[int, int]:
    """As systemd connects a service with its journal."""
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def terminal() -> tuple[int, int]:
    return pty.openpty()


KINDS = {"pipe": piped, "socket": socketed, "terminal": terminal}
SERVERS = {
    "gunicorn": gunicorn(workers=2),
    "uvicorn": uvicorn(workers=2),
    "uvicorn alone": uvicorn(workers=1),
}


def test_the_scrape_has_each_reason_from_the_start() -> None:
    assert LOG_DROP_REASONS == DROP_REASONS


@pytest.mark.servers
@pytest.mark.parametrize(
    ("server", "kind", "form"),
    [
        ("gunicorn", "pipe", "json"),
        ("gunicorn", "pipe", "console"),
        ("gunicorn", "socket", "json"),
        ("gunicorn", "terminal", "json"),
        ("uvicorn", "pipe", "json"),
        ("uvicorn alone", "pipe", "json"),
        ("uvicorn alone", "terminal", "json"),
    ],
)
def test_requests_go_on_while_nobody_reads(start: Start, server: str, kind: str, form: str) -> None:
    read, write = KINDS[kind]()
    service = start(SERVERS[server], write, LOG_FORMAT=form)
    os.close(write)
    reader = Reader(read)
    assert service.dropped() == dict.fromkeys(DROP_REASONS, 0.0)
    reader.pause(lambda: service.get("/hello/"))

    # Each says much more than a request's line: 16 KB, or 31.
    answers = [service.get(f"/says-much/?kilobytes={16 + 15 * (n % 2)}") for n in range(700)]

    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 2
    assert service.get("/health/live").status_code == 200
    dropped = service.dropped()
    assert dropped["queue_full"] > 100
    assert sum(dropped.values()) == dropped["queue_full"]

    reader.resume()

    poll(lambda: b"log lines were dropped" in reader.received, 20, "nothing said what is missing")
    service.get("/hello/again/")
    poll(lambda: b"/hello/again/" in reader.received, 10, "writing did not go on")
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(20)
    reader.join()
    if form == "console":
        return
    lines = reader.lines()
    much = [line for line in lines if line["message"] == "says much"]
    asked = [line for line in lines if line.get("path") == "/says-much/"]
    missing = sum(sum(line["dropped"].values()) for line in lines if "dropped" in line)
    assert len(much) + len(asked) + missing == 1400
    assert missing == sum(dropped.values())


@pytest.mark.servers
@pytest.mark.parametrize("server", SERVERS)
def test_a_service_stops_while_nobody_reads(start: Start, server: str) -> None:
    read, write = piped()
    service = start(SERVERS[server], write)
    os.close(write)
    reader = Reader(read)
    reader.pause(lambda: service.get("/hello/"))
    for _ in range(30):
        service.get("/says-much/?kilobytes=31")

    begun = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(10)

    assert time.monotonic() - begun < 6
    reader.join()
