"""A plugin of pytest: prometheus_client's own tests with our values, in files as in a server.

``TELEMETRY_OUTCOMES`` names the file that gets a line of JSON for each test: its name, outcome and
the reason of a skip.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from telemetry.metrics import values
from telemetry.metrics.slots import store

_folder = tempfile.TemporaryDirectory(prefix="prometheus-client-tests-")
assert store.open(Path(_folder.name) / f"process-{os.getpid()}-1")
values.install()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    with Path(os.environ["TELEMETRY_OUTCOMES"]).open("a") as outcomes:
        outcomes.write(json.dumps([report.nodeid, report.outcome, reason]) + "\n")


def pytest_sessionfinish() -> None:
    """The tests went through our store: its names are in the file."""
    written = Path(f"{store.path}.names").stat().st_size
    with Path(os.environ["TELEMETRY_OUTCOMES"]).open("a") as outcomes:
        outcomes.write(json.dumps(["names", "written", written]) + "\n")
