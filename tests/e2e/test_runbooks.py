"""Every query and command of the runbooks, run against the whole system."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import requests

from monitoring.render import HERE
from monitoring.tools.build import find
from scripts.local.layout import PORTS
from scripts.servers import poll
from tests.e2e.conftest import Whole
from tests.monitoring.runbooks import RUNBOOKS
from tests.monitoring.test_rules import STACK_METRICS
from tests.monitoring.test_runbooks import MORE_METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

QUERIES = [
    pytest.param(query, id=f"{book.name}-{number}")
    for book in RUNBOOKS.values()
    for number, query in enumerate(book.blocks("Look first", "promql"))
]
COMMANDS = [
    pytest.param(command, id=f"{book.name}-{number}")
    for book in RUNBOOKS.values()
    for number, command in enumerate(book.blocks("Look first", "bash"))
]
SILENCES = {book.name: book.blocks("Silence", "bash")[0] for book in RUNBOOKS.values()}


def here(whole: Whole, command: str) -> str:
    """A command for the default ports and state folder as one for those of the tests."""
    names = {str(default): name for name, (default, _) in PORTS.items()}
    command = re.sub(
        r"localhost:(\d+)", lambda found: whole.layout.address(names[found[1]]), command
    )
    return command.replace(".local/", f"{whole.layout.folder}/")


def run(whole: Whole, command: str) -> str:
    tools = {str(path.parent) for name in ("amtool", "promtool") if (path := find(name))}
    result = subprocess.run(
        ["bash", "-c", here(whole, command)],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, "PATH": ":".join([*tools, os.environ["PATH"]])},
        timeout=30,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    return result.stdout


@pytest.mark.parametrize("query", QUERIES)
def test_prometheus_answers_what_is_looked_at_first(whole: Whole, query: str) -> None:
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")

    answer = requests.get(url, {"query": query}, timeout=10).json()

    assert answer["status"] == "success", answer
    assert answer.get("warnings", []) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_and_what_it_asks_answers(whole: Whole, command: str) -> None:
    run(whole, command)

    for url in re.findall(r"http://[^\s']+", here(whole, command)):
        if "alertmanager.url" not in command:
            # The receiver of spans takes POST alone.
            assert requests.get(url, timeout=10).status_code == (
                405 if ":4318/" in command else 200
            )


@pytest.mark.parametrize("name", SILENCES)
def test_a_silence_is_taken(whole: Whole, name: str) -> None:
    silence = run(whole, SILENCES[name]).strip()

    url = whole.layout.url("ALERTMANAGER_PORT", f"/api/v2/silence/{silence}")
    try:
        matchers = requests.get(url, timeout=10).json()["matchers"]
        assert {"name": "alertname", "value": name, "isEqual": True, "isRegex": False} in matchers
    finally:
        requests.delete(url, timeout=10).raise_for_status()


def test_the_stack_has_the_metrics_that_rules_and_runbooks_name(whole: Whole) -> None:
    whole.api("GET", "/api/v1/expenses/", headers=whole.login())
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/label/__name__/values")

    def missing() -> set[str]:
        names = requests.get(url, timeout=10).json()["data"]
        return (STACK_METRICS | MORE_METRICS) - set(names)

    # Jaeger counts its receivers' spans from the first one on.
    poll(lambda: not missing(), 30, f"not all of them are there: {missing()}")
