"""The wheel of telemetry in a project that knows nothing of ours."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import requests

from testing.postgres import free_port
from testing.servers import ROOT, poll
from tests.telemetry.receiver import Receiver

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]


def run(*command: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean_environment(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


def clean_environment() -> dict[str, str]:
    """Nothing of our own settings; addresses of registries stay."""
    ours = re.compile(r"DJANGO_|DATABASE_|OTEL_|PROMETHEUS_|DEMO|LOG_|PYTHON|JAEGER_|VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not ours.match(name)}


def pinned() -> list[str]:
    """The versions that we run, as constraints."""
    text = (ROOT / "requirements/base.txt").read_text()
    return re.findall(r"^[A-Za-z0-9_.-]+==[^\s;\\]+", text, re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: building leaves its folders beside the sources.
    shutil.copytree(ROOT / "telemetry", folder / "source/telemetry")
    shutil.copy(ROOT / "pyproject.toml", folder / "source")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", folder, "./source"]
    run(*command, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment and a new project, with the lines that the docs say."""
    folder = tmp_path_factory.mktemp("shop")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pinned()))
    python = folder / "venv/bin/python"
    run(python, "-m", "pip", "install", "-q", "-c", constraints, wheel, cwd=folder)
    run(folder / "venv/bin/django-admin", "startproject", "shop", folder, cwd=folder)
    docs = (ROOT / "docs/telemetry.md").read_text()
    (lines,) = re.findall(r"```python\n(INSTALLED_APPS = .*?)```", docs, re.DOTALL)
    with (folder / "shop/settings.py").open("a") as settings:
        settings.write("\n" + lines)
    run(python, "manage.py", "migrate", cwd=folder)
    return folder


def names(receiver: Receiver) -> list[str]:
    return [span.name for span in receiver.spans]


def test_the_wheel_has_telemetry_alone(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "telemetry/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "telemetry",
        "telemetry_for_django",
    }


def test_a_new_project_has_all_three_signals(project: Path, receiver: Receiver) -> None:
    port = free_port()
    log = project / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [project / "venv/bin/python", "manage.py", "runserver", "--noreload", str(port)],
            cwd=project,
            env={
                **clean_environment(),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        base = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            try:
                return requests.get(f"{base}/health/live", timeout=2).ok
            except requests.ConnectionError:
                return False

        poll(answers, 20, "the project did not start")
        answer = requests.get(f"{base}/admin/login/", timeout=10)
        scraped = requests.get(f"{base}/metrics", timeout=10).text
        poll(lambda: "GET /admin/login/" in names(receiver), 10, "no span came")
    finally:
        server.terminate()
        server.wait(10)

    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line["logger"] == "telemetry.request"]
    assert [line for line in lines if line["level"] != "info"] == []
    assert line["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert 'http_requests_total{endpoint="/admin/login/",method="GET",status="200"} 1.0' in scraped


def test_a_command_has_a_line_and_a_span(project: Path, receiver: Receiver) -> None:
    """It ends long before spans are exported for the first time."""
    said = run(
        *(project / "venv/bin/python", "manage.py", "check"),
        cwd=project,
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
    )

    assert "no issues" in said
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    (line,) = lines
    assert line["logger"] == "telemetry.command"
    assert (line["level"], line["operation"]) == ("info", "manage.py check")
    assert line["correlation_id"] == line["trace_id"]
    assert names(receiver) == ["manage.py check"]
