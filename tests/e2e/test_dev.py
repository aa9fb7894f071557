"""``make dev``: the API serves what was just written, and outlives code that cannot be imported."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from testing.postgres import free_port
from testing.servers import poll
from tools.local.layout import ROOT

pytestmark = pytest.mark.e2e

_ADDED = """
from django.http import HttpResponse

urlpatterns.append(path("added/", lambda request: HttpResponse("{text}")))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code that may be changed while it runs."""
    copy = tmp_path / "checkout"
    for folder in ("config", "expenses", "telemetry", "testing", "tools", "monitoring"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    shutil.copy(ROOT / "manage.py", copy)
    return copy


@pytest.fixture
def dev(checkout: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running process and the address of its API."""
    ports = {
        name: str(free_port())
        for name in ("API_PORT", "PROMETHEUS_PORT", "POSTGRES_PORT", "RATES_PORT")
    }
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    output = tmp_path / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.local.up", "--reload"],
            cwd=checkout,
            env={**kept, **ports, "LOCAL_DIR": str(tmp_path / "local"), "STACK": "0"},
            stdout=file,
            stderr=file,
            text=True,
        )
    url = f"http://127.0.0.1:{ports['API_PORT']}"
    try:
        poll(
            lambda: process.poll() is not None or answer(f"{url}/health/ready")[0] == 200,
            60,
            "make dev did not answer",
        )
        assert process.poll() is None, output.read_text()
        yield process, url
    finally:
        process.kill()
        process.wait()


def answer(url: str) -> tuple[int, str]:
    """Status and text of a response; 0 where nobody answers."""
    try:
        response = requests.get(url, timeout=5)
    except requests.ConnectionError:
        return 0, ""
    return response.status_code, response.text


def save(file: Path, text: str, served: Callable[[], bool]) -> None:
    """Write the file until the change is served.

    Django's reloader compares times of files, and takes the first ones some moments after the
    server answers (5.2): what is saved in between it sees when it is saved again.
    """
    for attempt in range(6):
        file.write_text(text)
        try:
            poll(served, 6, f"{file.name} was not loaded after {attempt + 1} times")
        except AssertionError:
            if attempt == 5:
                raise
        else:
            return


def test_a_change_is_served_and_broken_code_is_waited_out(
    dev: tuple[subprocess.Popen[str], str], checkout: Path
) -> None:
    process, url = dev
    urls = checkout / "config/urls.py"
    shipped = urls.read_text()
    assert answer(f"{url}/added/")[0] == 404

    first, second = (shipped + _ADDED.format(text=text) for text in ("first", "second"))
    save(urls, first, lambda: answer(f"{url}/added/") == (200, "first"))
    save(urls, f"{shipped}\nraise RuntimeError\n", lambda: answer(f"{url}/added/")[0] != 200)
    save(urls, second, lambda: answer(f"{url}/added/") == (200, "second"))

    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert [child for child in children if child.is_running()] == []
