"""Every line that a server writes is JSON: from its start to its stop, and when it cannot start."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telemetry.logs import pipeline, plain_text
from testing.servers import ROOT, Server, gunicorn, poll, uvicorn

SITE = "tests.telemetry.site"


def parsed(text: str) -> list[dict[str, Any]]:
    """Each line as an object; a line that is none fails the test."""
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.servers
@pytest.mark.parametrize(
    ("command", "first", "last"),
    [
        (gunicorn(workers=2), "Starting gunicorn", "Shutting down: Master"),
        (uvicorn(workers=2), "Uvicorn running on", "Stopping parent process"),
        (uvicorn(workers=1), "Started server process", "Finished server process"),
    ],
    ids=["gunicorn", "uvicorn", "uvicorn alone"],
)
def test_from_its_start_to_its_stop(
    servers_database: str, command: Callable[[int], list[str]], first: str, last: str
) -> None:
    server = Server(
        command,
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": f"{SITE}.settings",
            # Not asked for: the interpreter tells unclosed sockets when all of Python is gone.
            "PYTHONWARNINGS": "",
        },
    )
    try:
        server.get("/hello/")
        server.get("/fail/")
        server.process.send_signal(signal.SIGTERM)
        # A worker that was just being started misses the signal; gunicorn ends it after 30 s.
        server.process.wait(60)
    finally:
        server.stop()

    lines = parsed(server.log.read_text())
    assert lines[0]["message"].startswith(first)
    assert lines[-1]["message"].startswith(last)
    assert "color_message" not in str(lines)


def without_preload(folder: Path) -> Path:
    changed = folder / "gunicorn.conf.py"
    text = (ROOT / "config/gunicorn.conf.py").read_text()
    changed.write_text(text.replace("preload_app = True", "preload_app = False"))
    return changed


@pytest.mark.servers
@pytest.mark.parametrize("kind", ["gunicorn", "gunicorn, no preload", "uvicorn", "uvicorn alone"])
@pytest.mark.parametrize(
    ("application", "environment", "said"),
    [
        (f"{SITE}.broken", {}, "it broke with password=***"),
        (f"{SITE}.nowhere", {}, "nowhere"),
        ("config.{interface}", {"OTEL_BSP_SCHEDULE_DELAY": "soon"}, "environment: OTEL_BSP"),
        ("config.{interface}", {"DJANGO_SETTINGS_MODULE": f"{SITE}.broken"}, "it broke with"),
    ],
    ids=["exception", "no module", "environment", "settings"],
)
def test_a_worker_that_dies_before_it_answers(
    tmp_path: Path, kind: str, application: str, environment: dict[str, str], said: str
) -> None:
    name = application.format(interface="wsgi" if kind.startswith("gunicorn") else "asgi")
    command = {
        "gunicorn": gunicorn(application=name),
        "gunicorn, no preload": lambda port: [
            *(sys.executable, "-m", "gunicorn", "-c", str(without_preload(tmp_path)), name),
            *("--bind", f"127.0.0.1:{port}"),
        ],
        "uvicorn": uvicorn(application=f"{name}:application"),
        "uvicorn alone": uvicorn(workers=1, application=f"{name}:application"),
    }[kind](0)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        poll(lambda: said in log.read_text(), 30, f"nothing of {said!r} was written")
        # uvicorn begins new workers again and again.
        process.terminate()
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)

    text = log.read_text()
    assert parsed(text)
    assert "hunter2" not in text
    assert "anna@example.org" not in text


class Output:
    """A standard error that leads through the log, and what stands behind it."""

    def __init__(self) -> None:
        self.written = io.BytesIO()
        stream = io.TextIOWrapper(self.written, "utf-8", write_through=True)
        self.handler = pipeline.LineHandler(stream)
        self.handler.setFormatter(pipeline.formatter())
        self.stderr = plain_text.PlainText(stream)

    def messages(self) -> list[str]:
        return [line["message"] for line in parsed(self.written.getvalue().decode())]


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    made = Output()
    monkeypatch.setattr(plain_text.logger, "callHandlers", made.handler.handle)
    return made


def test_a_print_is_a_line_for_each_of_its_lines(output: Output) -> None:
    print("one\ntwo", "three", file=output.stderr)
    print("\nfour", end="", file=output.stderr)
    output.stderr.write("-4\n")

    assert output.messages() == ["one", "two three", "four-4"]


def test_a_traceback_is_one_line(output: Output) -> None:
    try:
        int("token=hunter2")
    except ValueError:
        traceback.print_exc(file=output.stderr)
    print("next", file=output.stderr)

    told, after = output.messages()
    assert told.startswith("Traceback (most recent call last):\n  File ")
    assert "\nValueError: invalid literal" in told
    assert "hunter2" not in told.splitlines()[-1]
    assert after == "next"


def test_what_threads_write_does_not_mix(output: Output) -> None:
    output.stderr.write("mi")
    thread = threading.Thread(target=lambda: print("other", file=output.stderr))
    thread.start()
    thread.join()
    output.stderr.write("ne\n")

    assert output.messages() == ["other", "mine"]


def test_what_has_no_end_is_written_at_the_end(output: Output) -> None:
    output.stderr.write("half a line")

    output.stderr.end()

    assert output.messages() == ["half a line"]


def test_what_never_ends_does_not_wait_for_ever(output: Output) -> None:
    for number in range(2000):
        output.stderr.write(f"\r{number} of 2000")
    print("\nTraceback (most recent call last):", file=output.stderr)
    for _ in range(2000):
        print("  File again and again", file=output.stderr)

    messages = output.messages()
    assert messages[0].startswith("0 of 2000")
    assert len(messages) > 5


def test_a_log_that_cannot_be_written_does_not_write_for_ever(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(record: logging.LogRecord) -> None:
        print("--- Logging error ---", file=output.stderr)

    monkeypatch.setattr(plain_text.logger, "callHandlers", fails)

    print("one", file=output.stderr)

    assert output.messages() == []


OWN_LOGGING = """
import logging
import django
from django.conf import settings
from telemetry.logs import pipeline

pipeline.configure_server()
console = {"class": "logging.StreamHandler"}
file = {"class": "logging.FileHandler", "filename": "own"}
both = ["console", "file"]
settings.configure(
    INSTALLED_APPS=["telemetry"],
    LOGGING_CONFIG=None,
    LOGGING={
        "version": 1,
        "disable_existing_loggers": True,
        "handlers": {"console": console, "file": file},
        "loggers": {"shop": {"handlers": both, "level": "DEBUG", "propagate": False}},
        "root": {"handlers": ["console"], "level": "WARNING"},
    },
)
django.setup()
logging.getLogger("shop").debug("of the shop")
logging.getLogger("else").error("of somebody else")
logging.getLogger("telemetry.request").error("of telemetry")
logging.getLogger("else").info("below the level")
"""


def run(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OTEL_TRACES_EXPORTER": "none"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_a_projects_own_handlers_for_the_terminal_lead_through_ours(tmp_path: Path) -> None:
    ran = run(OWN_LOGGING, tmp_path)

    messages = [line["message"] for line in parsed(ran.stderr)]
    assert messages == ["of the shop", "of somebody else", "of telemetry"]
    assert (tmp_path / "own").read_text() == "of the shop\n"


COLORED = """
import logging
import sys
import django
from django.conf import settings
from telemetry.logs import pipeline


class Colored(logging.StreamHandler):
    def format(self, record):
        return "colored " + super().format(record)


if "server" in sys.argv:
    pipeline.configure_server()
settings.configure(
    INSTALLED_APPS=["telemetry"],
    LOGGING_CONFIG=None,
    LOGGING={
        "version": 1,
        "handlers": {"colored": {"()": Colored}},
        "loggers": {"shop": {"handlers": ["colored"]}},
    },
)
django.setup()
logging.getLogger("shop").warning("of LOGGING")
"""
ADDED_LATER = """
logging.getLogger("library").addHandler(logging.StreamHandler())
logging.getLogger("library").warning("of a library")
logging.getLogger("alone").addHandler(Colored())
logging.getLogger("alone").propagate = False
logging.getLogger("alone").warning("of one that propagates nothing")
logging.basicConfig(force=True)
logging.getLogger("shop").warning("of a root that was set up anew")
print("a print", file=sys.stderr)
"""


def test_a_handler_that_a_library_adds_doubles_and_loses_nothing(tmp_path: Path) -> None:
    ran = run(COLORED + ADDED_LATER, tmp_path, "server")

    lines = [(line["logger"], line["level"], line["message"]) for line in parsed(ran.stderr)]
    assert lines == [
        ("shop", "warning", "of LOGGING"),
        ("library", "warning", "of a library"),
        ("alone", "warning", "of one that propagates nothing"),
        ("shop", "warning", "of a root that was set up anew"),
        ("stderr", "error", "a print"),
    ]
    assert ran.stdout == ""


def test_a_command_writes_no_line_twice_for_a_handler_of_a_kind_of_its_own(tmp_path: Path) -> None:
    ran = run(COLORED, tmp_path)

    assert [line["message"] for line in parsed(ran.stderr)] == ["of LOGGING"]


@pytest.mark.parametrize("stream", [None, object()])
def test_the_console_needs_no_terminal(monkeypatch: pytest.MonkeyPatch, stream: object) -> None:
    """Descriptor 2 was closed when Python started, or somebody put an object of their own there."""
    monkeypatch.setenv("LOG_FORMAT", "console")
    monkeypatch.setattr(sys, "stderr", stream)

    text = pipeline.formatter().format(logging.makeLogRecord({"msg": "said", "levelname": "INFO"}))

    assert "said" in text
    assert "\x1b" not in text


def test_the_console_shows_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "console")
    formatter = pipeline.formatter()
    try:
        int("token=hunter2")
    except ValueError as error:
        error.__cause__ = KeyError("cause")
        record = logging.getLogger("shop").makeRecord(
            "shop", logging.ERROR, __file__, 1, "failed", (), sys.exc_info()
        )

    text = formatter.format(record)

    assert "failed" in text.splitlines()[0]
    assert "ValueError: invalid literal" in text
    assert "hunter2" not in text
    assert "test_the_console_shows_an_exception" in text
    assert "because of\nKeyError: 'cause'" in text
