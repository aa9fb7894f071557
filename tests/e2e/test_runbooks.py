"""Every query and command of the runbooks, run against the whole system."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from monitoring.render import HERE
from testing.servers import poll
from tests.e2e.conftest import Whole
from tests.monitoring.runbooks import RUNBOOKS, Runbook
from tests.monitoring.test_rules import STACK_METRICS
from tests.monitoring.test_runbooks import MORE_METRICS
from tools.local.layout import PORTS, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

QUERIES = [
    pytest.param(query, id=f"{book.name}-{number}")
    for book in RUNBOOKS.values()
    for number, query in enumerate(book.blocks("Look first", "promql"))
]
#: How a command within a sentence begins.
_INLINE = re.compile(r"`((?:make|curl|grep|tail|docker|\.local/bin/\w+) [^`]+)`")
#: Commands that are not run here, and why.
NOT_RUN = {
    "docker compose kill -s HUP prometheus": "needs a container engine; its service is checked",
    "docker compose up -d probe": "needs a container engine; its service is checked",
    "make up": "starts what runs here already",
    "make bench": "measures for minutes; its parts have tests of their own",
}
#: Commands that find nothing on a system where nothing of the kind went wrong, and why.
MAY_BE_EMPTY = {
    "grep -i error .local/logs/jaeger.log | tail -n 5": "Jaeger logs no error while it is well",
    "tail -n 5 .local/logs/probe.log": "the probe logs what fails",
}
#: What the answer of a command must hold, by a part of the command.
HOLDS = {
    "/api/v1/targets": r'"lastError": "',
    "curl -si http://localhost:8080/health/": r"^HTTP/1.1 200 OK",
    "/-/ready": r"^HTTP/1.1 200 OK",
    '"level":"error"': r'"endpoint":"/api/v1/demo/faults/error/"',
    '"level":"warning"': r'"duration_seconds":[1-9]',
    "repeated_statement": r'"repeated_statement":"SELECT',
    "response_bytes": r'"response_bytes":\d{6}',
    # The probe's logins may be as slow on a busy machine.
    "minDuration": r'"operationName":"(GET|POST) /api/v1/',
    "gunicorn.error": r"Booting worker|Listening at",
    "/api/services": r"expense-tracker-api",
    "/api/v1/rules": r'\d+ +"health": "ok"',
    "status/tsdb": r"seriesCountByMetricName",
    "storageRetention": r'"storageRetention": "(5w|35d) or ',
    "check config": r"SUCCESS",
    "check-config": r"SUCCESS",
    "check rules": r"SUCCESS",
    "prometheus.log": r"level=(WARN|ERROR)|level=INFO",
    "alertmanager.log": r"level=(WARN|ERROR)",
    "make logs": r'"level":"error"',
    "make alerts": r"Watchdog fires as it should, notified to dead-mans-switch",
    "alertname=Watchdog": r"Watchdog",
    "df -h": r"%",
}


def commands(book: Runbook) -> list[str]:
    """Every command of a runbook but that of its silence: fenced ones, and those in sentences."""
    fenced = [
        command
        for section in book.sections
        if section != "Silence"
        for command in book.blocks(section, "bash")
    ]
    inline = [re.sub(r"\s+", " ", found) for found in _INLINE.findall(book.text)]
    return fenced + inline


COMMANDS = [
    pytest.param(command, id=f"{book.name}-{number}")
    for book in RUNBOOKS.values()
    for number, command in enumerate(commands(book))
    if command not in NOT_RUN
]
SILENCES = {book.name: book.blocks("Silence", "bash")[0] for book in RUNBOOKS.values()}


def here(whole: Whole, command: str) -> str:
    """A command for the default ports and state folder as one for those of the tests."""
    names = {str(default): name for name, (default, _) in PORTS.items()}
    command = re.sub(
        r"localhost:(\d+)", lambda found: whole.layout.address(names[found[1]]), command
    )
    command = command.replace(".local/", f"{whole.layout.folder}/")
    return (
        command.replace("TRACE_ID", trace_of_an_error(whole)) if "TRACE_ID" in command else command
    )


def trace_of_an_error(whole: Whole) -> str:
    """As a person takes it from the log."""
    log = (whole.layout.logs / "api.log").read_text()
    found: str = re.findall(r'"level":"error".*"trace_id":"([0-9a-f]{32})"', log)[-1]
    return found


def run(whole: Whole, command: str, **variables: str) -> str:
    """What a command prints, as a person would run it; it must end well and complain of nothing."""
    ports = {name: str(whole.layout.port(name)) for name in PORTS}
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        **ports,
        "LOCAL_DIR": str(whole.layout.folder),
        "VENV": sys.prefix,
        **variables,
    }
    result = subprocess.run(
        ["bash", "-c", here(whole, command)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=60,
        check=False,
    )
    # Of a Prometheus that runs alone, which has no replica to name.
    complaints = [
        line for line in result.stderr.splitlines() if "name=PROMETHEUS_REPLICA" not in line
    ]
    assert (result.returncode, complaints) == (0, []), result.stdout
    return result.stdout


def broken_reload(whole: Whole, part: str, file: Path) -> None:
    """A configuration that cannot be read is loaded, and the right one again: the log says so."""
    stack = whole.system.stack
    assert stack is not None
    process = stack.parts[part].process
    assert process is not None
    log = whole.layout.logs / f"{part}.log"

    def reloaded(word: str) -> None:
        before = log.read_text().count(word)
        process.send_signal(signal.SIGHUP)
        poll(lambda: log.read_text().count(word) > before, 10, f"{part} did not say {word!r}")

    right = file.read_text()
    try:
        file.write_text("global: [")
        reloaded("level=ERROR")
    finally:
        file.write_text(right)
    reloaded("Completed loading of configuration file")


@pytest.fixture(scope="module")
def troubled(whole: Whole) -> Whole:
    """The system after some of what the runbooks look for: errors, slow and heavy requests."""
    config = whole.layout.folder / "config"
    broken_reload(whole, "prometheus", config / "prometheus/prometheus.yml")
    broken_reload(whole, "alertmanager", config / "alertmanager/alertmanager.yml")
    assert whole.api("GET", "/api/schema/").status_code == 200
    assert whole.api("GET", "/api/v1/demo/faults/queries/?n=20").status_code == 200
    assert whole.api("GET", "/api/v1/demo/faults/slow/?seconds=3").status_code == 200
    for _ in range(3):
        assert whole.api("GET", "/api/v1/demo/faults/error/").status_code == 500
    slow = whole.layout.url("JAEGER_QUERY_PORT", "/api/traces")
    query = {"service": "expense-tracker-api", "minDuration": "2500ms", "lookback": "1h"}
    poll(lambda: requests.get(slow, query, timeout=10).json()["data"], 20, "no slow trace")
    poll(lambda: "Watchdog" in whole.notified(), 30, "Watchdog was not told")
    return whole


@pytest.mark.parametrize("query", QUERIES)
def test_prometheus_answers_what_is_looked_at_first(whole: Whole, query: str) -> None:
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")

    answer = requests.get(url, {"query": query}, timeout=10).json()

    assert answer["status"] == "success", answer
    assert answer.get("warnings", []) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_and_answers_what_is_looked_for(troubled: Whole, command: str) -> None:
    # A command that fails at the head of a pipe has failed, whatever its tail says.
    strict = "" if command in MAY_BE_EMPTY else "set -o pipefail; "

    answer = run(troubled, strict + command)

    assert answer.strip() or command in MAY_BE_EMPTY
    for part, pattern in HOLDS.items():
        if part in command:
            assert re.search(pattern, answer, re.MULTILINE), answer


def test_every_command_that_is_excepted_is_still_in_a_runbook() -> None:
    there = {command for book in RUNBOOKS.values() for command in commands(book)}

    assert there >= NOT_RUN.keys() | MAY_BE_EMPTY.keys()


def test_the_compose_file_has_the_service_that_a_command_names() -> None:
    services = yaml.safe_load((HERE / "docker-compose.yml").read_text())["services"]

    assert {"prometheus", "probe"} <= services.keys()


@pytest.fixture
def odd_target(whole: Whole) -> Iterator[str]:
    """A target whose answer is no metrics: Prometheus' reason holds quotation marks."""
    file = whole.layout.folder / "config/prometheus/targets/api.yml"
    right = file.read_text()
    odd = whole.layout.address("NOTIFICATIONS_PORT")
    targets = yaml.safe_load(right)
    targets[0]["targets"].append(odd)
    file.write_text(yaml.safe_dump(targets))
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/targets")

    def error() -> str:
        active = requests.get(url, {"state": "active"}, timeout=10).json()["data"]["activeTargets"]
        return "".join(each["lastError"] for each in active if odd in each["scrapeUrl"])

    poll(lambda: bool(error()), 30, "Prometheus does not scrape the odd target")
    yield error()
    file.write_text(right)
    poll(lambda: not error(), 30, "Prometheus still scrapes the odd target")


def test_the_reason_of_a_target_is_shown_whole(whole: Whole, odd_target: str) -> None:
    (command,) = (each for each in commands(RUNBOOKS["APIEndpointDown"]) if "targets" in each)

    answer = run(whole, command)

    assert '"' in odd_target
    escaped = odd_target.replace("\\", "\\\\").replace('"', '\\"')
    assert f'"lastError": "{escaped}"' in answer


@pytest.mark.parametrize("name", SILENCES)
def test_a_silence_is_taken_and_ended_as_it_says(whole: Whole, name: str) -> None:
    said = run(whole, SILENCES[name], WHO="tester")

    silence, *_ = re.findall(r"^silence (\S+)$", said, re.MULTILINE)
    url = whole.layout.url("ALERTMANAGER_PORT", f"/api/v2/silence/{silence}")
    found = requests.get(url, timeout=10).json()
    (ending,) = re.findall(r"^end it earlier: (make silence END=\S+)$", said, re.MULTILINE)
    assert "is over" in run(whole, ending)
    matchers = found["matchers"]
    assert {"name": "alertname", "value": name, "isEqual": True, "isRegex": False} in matchers
    assert found["createdBy"] == "tester"
    assert found["comment"] in SILENCES[name]
    assert requests.get(url, timeout=10).json()["status"]["state"] == "expired"


def test_the_stack_has_the_metrics_that_rules_and_runbooks_name(whole: Whole) -> None:
    whole.api("GET", "/api/v1/expenses/", headers=whole.login())
    url = whole.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/label/__name__/values")

    def missing() -> set[str]:
        names = requests.get(url, timeout=10).json()["data"]
        return (STACK_METRICS | MORE_METRICS) - set(names)

    # Jaeger counts its receivers' spans from the first one on.
    poll(lambda: not missing(), 30, f"not all of them are there: {missing()}")
