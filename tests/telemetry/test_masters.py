"""gunicorn's masters: as a daemon, and two of them while SIGUSR2 upgrades the service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from testing.postgres import free_port
from testing.servers import ROOT, Server, gunicorn, poll
from tests.conftest import samples

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SITE = "tests.telemetry.site.settings"
CONFIGURATIONS = ["config/gunicorn.conf.py", "tests/telemetry/site/gunicorn.conf.py"]
HELLO = {"method": "GET", "endpoint": "/hello/", "status": "200"}


@pytest.fixture(params=CONFIGURATIONS)
def server(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    command = gunicorn(settings=request.param)
    started = Server(
        # Without the control socket, which takes seconds to close.
        lambda port: [*command(port), "--no-control-socket"],
        {"DATABASE_URL": servers_database, "DJANGO_SETTINGS_MODULE": SITE},
    )
    yield started
    started.stop()


class Watch:
    """Scrapes as quickly as it can, and keeps what fell between two scrapes."""

    NAMES = ("http_requests_total", "process_cpu_seconds_total", "process_worker_starts_total")

    def __init__(self, server: Server) -> None:
        self.fell: list[str] = []
        self.starts: set[float] = set()
        self.scrapes = 0
        self._server = server
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        before: dict[object, float] = {}
        while not self._end.is_set():
            # A worker that was told to go may refuse a connection that it has accepted.
            with suppress(requests.ConnectionError):
                found = samples(self._server.scrape())
                self.scrapes += 1
                for (name, labels), value in found.items():
                    if name in self.NAMES:
                        if value < before.get((name, labels), 0.0):
                            self.fell.append(f"{name} {dict(labels)}: {value}")
                        before[name, labels] = value
                self.starts.add(found["process_start_time_seconds", frozenset()])
            time.sleep(0.1)

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def value(server: Server, name: str, **labels: str) -> float:
    return samples(server.scrape()).get((name, frozenset(labels.items())), 0.0)


def masters(server: Server) -> list[int]:
    """Process ids in the order of their starts, as gunicorn says them."""
    return [
        int(line["message"].rpartition("(")[2].rstrip(")"))
        for line in server.log_lines()
        if line["message"].startswith("Listening at: ")
    ]


def upgrade(server: Server, old: int, known: int) -> int:
    """Send SIGUSR2 and wait until the new master's workers serve beside the old one's."""
    os.kill(old, signal.SIGUSR2)
    poll(lambda: len(masters(server)) == known + 1, 60, "no new master came")
    poll(lambda: value(server, "process_workers") == 4, 60, "its workers did not begin")
    return masters(server)[-1]


def end(server: Server, master: int) -> None:
    os.kill(master, signal.SIGQUIT)
    poll(lambda: not _runs(master), 60, f"{master} did not end")
    poll(lambda: value(server, "process_workers") == 2, 60, "its workers are still counted")


def promoted(server: Server) -> int:
    """How often a new master noticed that it is the only one: before, it ignores SIGUSR2."""
    return sum("promoted" in line["message"] for line in server.log_lines())


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_an_upgrade_goes_on_counting(server: Server) -> None:
    (first,) = masters(server)
    watch = Watch(server)
    try:
        for _ in range(20):
            server.get("/hello/")
        second = upgrade(server, first, 1)
        for _ in range(20):
            server.get("/hello/")
        end(server, first)
        poll(lambda: promoted(server) == 1, 10, "the new master was not promoted")
        for _ in range(20):
            server.get("/hello/")
        third = upgrade(server, second, 2)
        end(server, second)
        for _ in range(20):
            server.get("/hello/")
        # Memory is measured every 15 seconds; the metrics-only port is taken over before.
        poll(lambda: _port_answers(server), 20, "the metrics-only port was not taken over")
    finally:
        watch.end()

    assert value(server, "http_requests_total", **HELLO) == 80
    assert value(server, "process_worker_starts_total") == 6
    assert value(server, "process_open_fds") > 10
    assert watch.scrapes > 10
    assert watch.fell == []
    assert len(watch.starts) == 1
    problems = [line for line in server.log_lines() if line["level"] not in {"info", "debug"}]
    # gunicorn leaves sockets to Python's collector, which warns of them in tests.
    assert not [line for line in problems if line["logger"] != "py.warnings"]

    os.kill(third, signal.SIGTERM)
    poll(lambda: not _runs(third), 60, "the last master did not end")

    assert list(server.folder.glob("metrics/*")) == []


def _port_answers(server: Server) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=5).ok
    return False


def test_an_upgrade_that_is_taken_back(server: Server) -> None:
    (first,) = masters(server)
    watch = Watch(server)
    try:
        for _ in range(20):
            server.get("/hello/")
        second = upgrade(server, first, 1)
        for _ in range(20):
            server.get("/hello/")
        end(server, second)
        for _ in range(20):
            server.get("/hello/")
    finally:
        watch.end()

    assert value(server, "http_requests_total", **HELLO) == 60
    assert watch.fell == []
    assert len(watch.starts) == 1
    assert _runs(first)


@pytest.mark.parametrize("server", CONFIGURATIONS[:1], indirect=True)
def test_an_upgrade_after_a_cleaner_removed_the_files(server: Server) -> None:
    (first,) = masters(server)
    (folder,) = (server.folder / "metrics").glob("instance-*")
    for _ in range(20):
        server.get("/hello/")
    # Each worker has looked at the folder since.
    time.sleep(6)
    shutil.rmtree(folder)
    poll(lambda: len(list(folder.glob("worker-*"))) == 2, 20, "the files did not come back")
    poll(lambda: value(server, "http_requests_total", **HELLO) == 20, 10, "counts were lost")
    watch = Watch(server)
    try:
        upgrade(server, first, 1)
        for _ in range(20):
            server.get("/hello/")
        end(server, first)
        for _ in range(20):
            server.get("/hello/")
    finally:
        watch.end()

    assert value(server, "http_requests_total", **HELLO) == 60
    assert list((server.folder / "metrics").iterdir()) == [folder]
    assert watch.fell == []
    assert len(watch.starts) == 1


@pytest.mark.parametrize("settings", CONFIGURATIONS)
def test_a_daemon(settings: str, servers_database: str, tmp_path: Path) -> None:
    port, pid_file = free_port(), tmp_path / "pid"
    url = f"http://127.0.0.1:{port}"
    subprocess.run(
        [
            *gunicorn(settings=settings)(port),
            *("--daemon", "--pid", str(pid_file)),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": SITE,
            "OTEL_TRACES_EXPORTER": "none",
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        },
        check=True,
        timeout=30,
    )

    def scraped() -> dict[str, float]:
        with suppress(requests.ConnectionError):
            text = requests.get(f"{url}/metrics", timeout=10).text
            return {name: value for (name, _labels), value in samples(text).items()}
        return {}

    try:
        found = poll(
            lambda: (seen := scraped()).get("process_workers") == 2 and seen,
            60,
            "the daemon's workers did not begin",
        )
        master = int(pid_file.read_text())
        assert found["process_worker_starts_total"] == 2
        assert found["process_cpu_seconds_total"] > 0.1
        assert abs(found["process_start_time_seconds"] - time.time()) < 60
        assert found["process_open_fds"] > 10
        poll(lambda: scraped().get("process_resident_memory_bytes"), 20, "memory is not measured")
        (folder,) = (tmp_path / "metrics").iterdir()
        assert folder.name.startswith(f"instance-{master}-")
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
    poll(lambda: not _runs(master), 60, "the daemon did not end")

    assert list((tmp_path / "metrics").iterdir()) == []
