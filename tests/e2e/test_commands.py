"""``make status``, ``make alerts`` and ``make silence`` on the whole system."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests
import yaml

from testing.servers import poll
from tests.e2e.conftest import Whole
from tools.local import runs
from tools.local.layout import PORTS, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


COMMANDS = {
    "alerts": "tools.alerts.show",
    "silence": "tools.alerts.silence",
    "status": "tools.local.status",
}


def command(whole: Whole, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "LOCAL_DIR": str(whole.layout.folder),
        **{port: str(whole.layout.port(port)) for port in PORTS},
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", COMMANDS[name]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def run_of_make_up(whole: Whole) -> Iterator[Whole]:
    """The lock and the state that ``make up`` would have written."""
    lock = runs.take(whole.layout)
    assert lock is not None
    with lock:
        runs.write_state(whole.layout, whole.system.state())
        yield whole
    whole.layout.state.unlink()


def test_status_says_what_each_address_answers(run_of_make_up: Whole) -> None:
    whole = run_of_make_up

    result = command(whole, "status")

    assert result.returncode == 0, result.stdout + result.stderr
    rows = {line.split()[0]: line for line in result.stdout.splitlines()[1:]}
    for line in rows.values():
        _, said = line.split(" answers: ")
        url = re.findall(r"http://\S+", line)[0]
        answer = requests.get(url, timeout=10)
        is_page = answer.ok and "html" in answer.headers["Content-Type"]
        is_page = is_page and "not compiled with the UI" not in answer.text
        assert is_page == (said == "page"), line
        if not answer.ok:
            assert f"HTTP {answer.status_code}" in said
        # What is to be looked at instead can be.
        for instead in re.findall(r"http://\S+", said):
            if "TRACE_ID" not in instead:
                assert requests.get(instead.rstrip(","), timeout=10).status_code == 200
    if "API only" in rows["Prometheus"]:
        assert "make alerts, make dashboards-preview" in rows["Prometheus"]
    assert rows["Alertmanager"].endswith("answers: page")
    assert "asks for a login" in result.stdout


def test_the_programs_of_the_stack_are_on_one_path(whole: Whole) -> None:
    for name in ("promtool", "amtool", "prometheus", "alertmanager", "jaeger"):
        program = whole.layout.folder / "bin" / name
        assert program.is_symlink()
        assert os.access(program, os.X_OK)


def test_alerts_says_what_fires_and_who_is_notified(whole: Whole) -> None:
    poll(lambda: "Watchdog" in whole.notified(), 30, "Watchdog was not told")

    result = command(whole, "alerts")

    assert result.returncode == 0, result.stderr
    assert "Watchdog fires as it should, notified to dead-mans-switch" in result.stdout


def test_a_silence_of_what_does_not_fire_is_listed_until_it_ends(whole: Whole) -> None:
    variables = {
        "ALERT": "HighMemoryUsage",
        "FOR": "2d",
        "WHY": "its disk",
        "MATCH": "instance!~a.*",
    }
    silence = command(whole, "silence", **variables).stdout.split()[1]

    listed = command(whole, "alerts").stdout

    assert f"silence {silence} until " in listed
    assert ": its disk (alertname=HighMemoryUsage, instance!~a.*; nothing of it fires)" in listed
    command(whole, "silence", END=silence)
    assert silence not in command(whole, "alerts").stdout


def test_alerts_without_alertmanager_says_so_and_shows_what_prometheus_knows(
    whole: Whole,
) -> None:
    result = command(whole, "alerts", ALERTMANAGER_URL="http://127.0.0.1:9")

    assert result.returncode == 0
    assert "not at Alertmanager: nobody is notified" in result.stdout
    assert "Alertmanager did not answer, nobody is notified of anything" in result.stdout


def test_alerts_without_either_fails(whole: Whole) -> None:
    away = "http://127.0.0.1:9"

    result = command(whole, "alerts", ALERTMANAGER_URL=away, PROMETHEUS_URL=away)

    assert result.returncode == 1
    assert "neither can be asked" in result.stderr


@pytest.fixture
def own_inhibition(whole: Whole) -> Iterator[None]:
    """A rule of somebody's own; the shipped configuration inhibits nothing."""
    stack = whole.system.stack
    assert stack is not None
    process = stack.parts["alertmanager"].process
    assert process is not None
    file = whole.layout.folder / "config/alertmanager/alertmanager.yml"
    shipped = file.read_text()
    rule = {
        "source_matchers": ['severity="critical"', 'service="test"'],
        "target_matchers": ['severity="warning"', 'service="test"'],
        "equal": ["service", "instance"],
    }
    log = whole.layout.logs / "alertmanager.log"

    def load(text: str) -> None:
        loaded = log.read_text().count("Completed loading of configuration file")
        file.write_text(text)
        process.send_signal(signal.SIGHUP)
        poll(
            lambda: log.read_text().count("Completed loading of configuration file") > loaded,
            10,
            "Alertmanager did not reload",
        )

    load(yaml.safe_dump(yaml.safe_load(shipped) | {"inhibit_rules": [rule]}))
    yield
    load(shipped)


@pytest.fixture
def firing(whole: Whole, own_inhibition: None) -> Iterator[str]:
    """Alerts of a made-up service at Alertmanager: a warning, and a critical one over it."""
    url = whole.layout.url("ALERTMANAGER_PORT", "/api/v2/alerts")
    alerts = [
        {
            "labels": {
                "alertname": name,
                "severity": severity,
                "service": "test",
                "team": "backend",
                "job": "test",
                "instance": "a b",
            },
            "annotations": {"summary": f"{name} of a test"},
        }
        for name, severity in (("EndpointSlow", "warning"), ("HighErrorRate", "critical"))
    ]
    requests.post(url, json=alerts, timeout=10).raise_for_status()
    poll(lambda: {"EndpointSlow", "HighErrorRate"} <= whole.notified().keys(), 10, "not there")
    yield "test"
    ended = [{**each, "endsAt": "2020-01-01T00:00:00Z"} for each in alerts]
    requests.post(url, json=ended, timeout=10).raise_for_status()


def test_a_silenced_alert_says_until_when_by_whom_and_why(whole: Whole, firing: str) -> None:
    made = command(
        whole,
        "silence",
        ALERT="HighErrorRate",
        FOR="1h30m",
        WHY="the release's being rolled back; it's \"known\"",
        WHO="Zoë",
        MATCH='service=test instance="a b"',
    )

    assert made.returncode == 0, made.stderr
    assert "1 of the alerts that fire now are silenced by it" in made.stdout
    silence = made.stdout.split()[1]
    try:
        shown = command(whole, "alerts").stdout
        (line,) = (line for line in shown.splitlines() if " HighErrorRate, since " in line)
        assert line.startswith("critical  HighErrorRate, since ")
        assert "silenced until " in line
        assert "by Zoë: the release's being rolled back; it's \"known\"" in line
        assert silence in line
        assert "HighErrorRate of a test" in shown
        assert "inhibited by HighErrorRate" in shown
    finally:
        ended = command(whole, "silence", END=silence)
    assert ended.returncode == 0
    again = command(whole, "silence", END=silence)
    assert (again.returncode, "ended already" in again.stdout) == (0, True)


@pytest.mark.parametrize(
    ("variables", "status", "said"),
    [
        ({"ALERT": "HighErorRate"}, 2, "did you mean HighErrorRate?"),
        ({"ALERT": "Qqqq"}, 2, "there is no alert 'Qqqq'; make alerts lists what fires"),
        ({"MATCH": "host=~("}, 1, "HTTP 400"),
        ({"ALERT": "", "END": "00000000-0000-4000-8000-000000000000"}, 2, "knows no silence"),
    ],
)
def test_what_only_alertmanager_can_refuse_is_one_clear_line(
    whole: Whole, variables: dict[str, str], status: int, said: str
) -> None:
    good = {"ALERT": "HighErrorRate", "FOR": "1h", "WHY": "test"}

    result = command(whole, "silence", **good | variables)

    assert result.returncode == status
    assert said in result.stderr.splitlines()[0]
    assert "Traceback" not in result.stderr
