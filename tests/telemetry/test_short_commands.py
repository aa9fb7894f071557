"""Processes that end at once: their spans are exported, and nothing is said at their exit.

``make test-pythons`` runs this on every supported Python; from 3.12 on a process that ends can
begin no thread.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from testing.servers import ROOT
from tests.telemetry.receiver import Receiver

TRACED = """
import django; django.setup()
import telemetry
with telemetry.traced("short"):
    pass
"""
AT_EXIT = """
import atexit
import django; django.setup()
import telemetry
@atexit.register
def last():
    with telemetry.traced("short"):
        pass
"""
IN_A_THREAD = """
import threading
import django; django.setup()
import telemetry
threading.Thread(target=telemetry.traced("short")(lambda: None)).start()
"""
FAILS = """
import django; django.setup()
import telemetry
with telemetry.traced("short"):
    raise SystemExit(3)
"""


@pytest.mark.parametrize(
    ("arguments", "span", "status"),
    [
        (["manage.py", "check"], "manage.py check", 0),
        (["manage.py", "showmigrations", "--plan"], "manage.py showmigrations", 0),
        (["-c", TRACED], "short", 0),
        (["-c", AT_EXIT], "short", 0),
        (["-c", IN_A_THREAD], "short", 0),
        (["-c", FAILS], "short", 3),
    ],
    ids=["check", "showmigrations", "traced", "at exit", "in a thread", "fails"],
)
@pytest.mark.parametrize("spans", ["settings", "sdk"])
def test_the_spans_of_a_short_process_are_exported(
    arguments: list[str], span: str, status: int, spans: str, receiver: Receiver
) -> None:
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": f"tests.telemetry.site.{spans}",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "LOG_FORMAT": "json",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == status
    assert [found.name for found in receiver.spans].count(span) == 1
    assert "Traceback" not in ended.stderr
    assert all(line.startswith("{") for line in ended.stderr.splitlines())
    if status == 0:
        assert '"level":"error"' not in ended.stderr
        assert '"level":"warning"' not in ended.stderr
