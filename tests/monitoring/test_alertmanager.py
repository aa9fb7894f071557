"""Who is told of which alert, asked of Alertmanager's own tool and of a running Alertmanager."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from monitoring.alerts.generate import ALERTS
from monitoring.render import HERE, render
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tools.local.layout import PORTS, Layout
from tools.local.parts import Part
from tools.local.stack import alertmanager, notifications

SHIPPED = HERE / "alertmanager/alertmanager.yml"
EXAMPLES = sorted((HERE / "alertmanager/receivers").glob("*.yml"))
RULES = {alert.name: alert.rule() for alerts in ALERTS.values() for alert in alerts}
#: Severity and team, and who is told.
RECEIVERS = {
    ("critical", "backend"): "page-backend",
    ("critical", "platform"): "page-platform",
    ("warning", "backend"): "ticket-backend",
    ("warning", "platform"): "ticket-platform",
    ("none", "platform"): "dead-mans-switch",
}


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = find("amtool")
    if program is None:
        pytest.skip("not built: amtool (make tools)")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def derived(
    folder: Path, *, speed: float = 1, receivers: Path | None = None, to: str = "h:1"
) -> Path:
    addresses = dict.fromkeys(("api", "alertmanager", "jaeger_metrics", "prometheus"), "h:1")
    render(folder, **addresses, notifications=to, speed=speed, receivers=receivers)
    return folder / "alertmanager/alertmanager.yml"


def test_the_configuration_is_valid() -> None:
    assert amtool("check-config", str(SHIPPED)).returncode == 0


@pytest.mark.parametrize("name", RULES)
def test_an_alert_reaches_the_receiver_of_its_severity_and_team(name: str) -> None:
    labels = {"alertname": name, **RULES[name]["labels"]}

    result = amtool(
        *("config", "routes", "test", f"--config.file={SHIPPED}"),
        *(f"{key}={value}" for key, value in labels.items()),
    )

    assert result.stdout.strip() == RECEIVERS[labels["severity"], labels["team"]], result.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_of_a_receiver_fits_in(example: Path, tmp_path: Path) -> None:
    file = derived(tmp_path, receivers=example)

    result = amtool("check-config", str(file))

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_secrets_come_from_files_alone(example: Path) -> None:
    text = example.read_text()

    assert "_file: /etc/alertmanager/secrets/" in text
    for secret in ("auth_password:", "api_url:", "routing_key:", "credentials:", "url: http"):
        assert secret not in text


def test_a_receiver_that_no_route_leads_to_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("receivers: [{name: nobody-knows}]")

    with pytest.raises(ValueError, match="nobody-knows"):
        derived(tmp_path, receivers=wrong)


MESSAGE = {
    "status": "firing",
    "receiver": "page-backend",
    "groupLabels": {},
    "commonLabels": {"alertname": "A", "service": "s", "severity": "critical"},
    "commonAnnotations": {},
    "externalURL": "http://a",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "A", "endpoint": "/<x>/"},
            "annotations": {
                "summary": "10 % <b> fail",
                "description": "It does.",
                "runbook_url": "r.md",
                "dashboard_url": "http://g/d/x?a=1&b=2",
                "traces_url": "http://j/search",
            },
            "startsAt": "2026-11-24T10:00:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://p",
            "fingerprint": "1",
        }
    ],
}


@pytest.mark.parametrize("name", ["title", "text", "slack", "html"])
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_a_message_says_what_it_is_and_where_to_look(
    name: str, status: str, tmp_path: Path
) -> None:
    message = json.loads(json.dumps(MESSAGE))
    message["status"] = message["alerts"][0]["status"] = status
    message["alerts"][0]["endsAt"] = "2026-11-24T10:30:00Z"
    data = tmp_path / "data.json"
    data.write_text(json.dumps(message))

    result = amtool(
        *("template", "render", f"--template.data={data}"),
        f"--template.glob={HERE}/alertmanager/templates/*.tmpl",
        *(("--template.type=html",) if name == "html" else ()),
        f'--template.text={{{{ template "tracker.{name}" . }}}}',
    )

    assert result.returncode == 0, result.stderr
    said = result.stdout
    if name == "title":
        assert said.strip() == f"[{status.upper()}{' 1' * (status == 'firing')}] s critical: A"
        return
    assert "http://j/search" in said
    assert "r.md" in said
    assert "2026-11-24 10:00" in said
    assert ("10:30" in said) == (status == "resolved")
    assert ("10 % &lt;b&gt; fail" if name == "html" else "10 % <b> fail") in said


class Running:
    """A real Alertmanager as shipped, thirty times as fast, and who it tells."""

    def __init__(self, layout: Layout) -> None:
        self.url = layout.url("ALERTMANAGER_PORT")
        self.receiver = layout.url("NOTIFICATIONS_PORT")
        self.kept = layout.logs / "notifications.jsonl"

    def send(self, *labels: dict[str, str]) -> None:
        answer = requests.post(
            f"{self.url}/api/v2/alerts", json=[{"labels": each} for each in labels], timeout=5
        )
        answer.raise_for_status()

    def state(self, name: str, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = requests.get(f"{self.url}/api/v2/alerts", timeout=5).json()
        return next(
            (
                alert["status"]
                for alert in found
                if (alert["labels"]["alertname"], alert["labels"]["service"]) == (name, service)
            ),
            {},
        )

    def muted(self, service: str) -> set[str]:
        """The time intervals that keep a service's alerts from being told."""
        groups = requests.get(f"{self.url}/api/v2/alerts/groups", timeout=5).json()
        alerts = (alert for group in groups for alert in group["alerts"])
        return {
            name
            for alert in alerts
            if alert["labels"]["service"] == service
            for name in alert["status"]["mutedBy"]
        }

    def told(self, service: str) -> list[tuple[str, list[str]]]:
        """Receiver and alerts of each notification about a service."""
        if not self.kept.exists():
            return []
        lines = [json.loads(line) for line in self.kept.read_text().splitlines()]
        return [
            (line["receiver"], sorted(alert["labels"]["alertname"] for alert in line["alerts"]))
            for line in lines
            if line["commonLabels"]["service"] == service
        ]


@contextmanager
def run(folder: Path, intervals: list[dict[str, Any]] | None = None) -> Iterator[Running]:
    """The shipped configuration, with other times of planned work where they are given."""
    if find("alertmanager") is None:
        pytest.skip("not built: alertmanager (make tools)")
    layout = Layout(folder, {name: free_port() for name in PORTS})
    layout.make()
    file = derived(layout.folder, speed=30, to=layout.address("NOTIFICATIONS_PORT"))
    if intervals is not None:
        content = yaml.safe_load(file.read_text())
        (planned,) = content["time_intervals"]
        planned["time_intervals"] = intervals
        file.write_text(yaml.safe_dump(content))
    parts: list[Part] = [notifications(layout), alertmanager(layout, file)]
    try:
        for part in parts:
            part.start()
            assert part.wait_until_ready(20), part.last_words()
        yield Running(layout)
    finally:
        for part in parts:
            part.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    # No work is planned, whatever the day that the tests run on.
    with run(tmp_path_factory.mktemp("am"), []) as started:
        yield started


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same while work is planned."""
    always = [{"weekdays": ["sunday:saturday"]}]
    with run(tmp_path_factory.mktemp("am-work"), always) as started:
        yield started


def labels(name: str, service: str, **more: str) -> dict[str, str]:
    return {"alertname": name, **RULES[name]["labels"], "service": service, **more}


@pytest.mark.servers
def test_an_alert_of_many_instances_is_one_notification(running: Running) -> None:
    instances = [f"i{number}" for number in range(10)]

    running.send(
        *(labels("DatabaseConnectionErrors", "one", instance=name) for name in instances),
        labels("HighErrorRate", "one"),
        *(labels("EndpointFailing", "one", endpoint=name) for name in instances),
    )

    def told() -> bool:
        return len(running.told("one")) == 3

    poll(told, 15, f"not told once of each: {running.told('one')}")
    assert sorted(running.told("one")) == [
        ("page-backend", ["DatabaseConnectionErrors"] * 10),
        ("page-backend", ["HighErrorRate"]),
        ("ticket-backend", ["EndpointFailing"] * 10),
    ]


def test_nothing_is_inhibited() -> None:
    """Its end would not be notified; monitoring/alerts/causes.py does it instead."""
    assert yaml.safe_load(SHIPPED.read_text()).get("inhibit_rules", []) == []


def test_a_group_never_holds_two_clusters_or_services() -> None:
    def groups(route: dict[str, Any], above: list[str]) -> list[list[str]]:
        own = route.get("group_by", above)
        children = route.get("routes", [])
        return [own, *(each for child in children for each in groups(child, own))]

    found = groups(yaml.safe_load(SHIPPED.read_text())["route"], [])

    # Watchdog is of no service.
    assert all({"cluster", "service"} <= {*each} or "alertname" in each for each in found)
    assert all("cluster" in each for each in found)


@pytest.mark.servers
def test_warnings_wait_while_work_is_planned_and_what_is_critical_does_not(
    at_work: Running,
) -> None:
    at_work.send(labels("HighMemoryUsage", "six"), labels("HighErrorRate", "seven"))

    poll(lambda: at_work.told("seven"), 10, "nobody was told of what is critical")
    poll(lambda: at_work.muted("six") == {"planned-work"}, 10, "not muted")
    assert at_work.told("six") == []


def test_planned_work_mutes_warnings_alone() -> None:
    routes = yaml.safe_load(SHIPPED.read_text())["route"]["routes"]
    every = [*routes, *(child for route in routes for child in route.get("routes", []))]

    muted = {route["receiver"]: route.get("mute_time_intervals", []) for route in every}
    assert muted == {
        "dead-mans-switch": [],
        "page-backend": [],
        "page-platform": [],
        "ticket-backend": ["planned-work"],
        "ticket-platform": ["planned-work"],
    }


@pytest.mark.servers
def test_the_receiver_refuses_what_is_no_notification(running: Running) -> None:
    answers = [
        requests.post(f"{running.receiver}/x", data=body, timeout=5).status_code
        for body in ("no json", "[]", '{"status": 1}', "")
    ]

    assert answers == [400] * 4
