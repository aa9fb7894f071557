"""``make up`` itself, without the stack: it starts, is found, stops, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from testing.postgres import free_port
from testing.servers import poll
from tools.local.layout import ROOT
from tools.local.parts import answers

pytestmark = pytest.mark.e2e

Run = Callable[[str], subprocess.Popen[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ports = {name: str(free_port()) for name in ("API_PORT", "PROMETHEUS_PORT", "POSTGRES_PORT")}
    folder = tmp_path_factory.mktemp("up") / "local"
    return {**kept, **ports, "LOCAL_DIR": str(folder), "STACK": "0"}


@pytest.fixture
def run(environment: dict[str, str]) -> Iterator[Run]:
    started: list[subprocess.Popen[str]] = []

    def start(command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tools.local.{command}"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def up(run: Run, environment: dict[str, str]) -> subprocess.Popen[str]:
    process = run("up")
    url = f"http://127.0.0.1:{environment['API_PORT']}/health/ready"
    poll(lambda: process.poll() is not None or answers(url), 60, "make up did not answer")
    assert process.poll() is None, process.communicate()[0]
    return process


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def left(processes: list[psutil.Process]) -> list[str]:
    """Commands of those that still run."""
    return [
        " ".join(process.cmdline())
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


def gone(processes: list[psutil.Process]) -> bool:
    return not left(processes)


def test_a_run_is_found_and_stopped_from_elsewhere(up: subprocess.Popen[str], run: Run) -> None:
    children = family(up)

    assert "answers" in run("status").communicate(timeout=20)[0]
    assert "already running" in run("up").communicate(timeout=20)[0]
    assert "stopped" in run("down").communicate(timeout=60)[0]

    assert up.wait(10) == 0
    assert gone(children)
    assert "nothing is running" in run("status").communicate(timeout=20)[0]


def test_nothing_outlives_a_killed_run_and_the_next_one_has_its_data(
    up: subprocess.Popen[str], run: Run, environment: dict[str, str]
) -> None:
    secrets = (Path(environment["LOCAL_DIR"]) / "secrets.env").read_text()
    children = family(up)
    assert len(children) > 3

    up.send_signal(signal.SIGKILL)

    # gunicorn loses a SIGTERM that reaches a worker while it boots, and kills that worker after its
    # graceful_timeout of 30 s (seen in 27.0.1).
    try:
        poll(lambda: gone(children), 45, "processes are left")
    except AssertionError:
        raise AssertionError(left(children)) from None
    again = run("up")
    url = f"http://127.0.0.1:{environment['API_PORT']}/health/ready"
    poll(lambda: answers(url), 30, "the second make up did not answer")
    assert (Path(environment["LOCAL_DIR"]) / "secrets.env").read_text() == secrets
    again.send_signal(signal.SIGINT)
    assert again.wait(20) == 0


def test_a_taken_port_is_named_with_a_way_on(
    run: Run, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        monkeypatch.setitem(environment, "API_PORT", str(port))

        said = run("up").communicate(timeout=30)[0]

    assert f"port {port} is taken by" in said
    assert "API_PORT=" in said
