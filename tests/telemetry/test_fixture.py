"""The pytest fixture of ``telemetry.testing``, in a test run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from testing.servers import ROOT

TESTS = """
from django.contrib.auth.models import Group

pytest_plugins = ["telemetry.testing"]


def test_few(no_repeated_queries):
    for number in range(10):
        Group.objects.filter(pk=number).exists()


def test_many(no_repeated_queries):
    for number in range(11):
        Group.objects.filter(pk=number).exists()
"""


def test_it_fails_the_test_that_repeats_a_statement(tmp_path: Path, servers_database: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)

    run = subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", tmp_path)],
        cwd=ROOT,
        env={
            **os.environ,
            "DATABASE_URL": servers_database,
            "OTEL_TRACES_EXPORTER": "none",
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert "2 passed, 1 error" in run.stdout, run.stdout + run.stderr
    assert "11 times: SELECT" in run.stdout
    assert "/test_it.py:14 test_many" in run.stdout
