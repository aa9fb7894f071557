"""Two Prometheus and three Alertmanagers with the flags of docker-compose.replicas.yml: real ones.

Six notifications would be what they send without knowing of each other.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from monitoring.render import HERE, render
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tests.monitoring.test_incidents import Service, needed, started
from tools.local.layout import PORTS, ROOT, Layout
from tools.local.parts import Part
from tools.local.stack import notifications

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

PROMETHEUS = ("prometheus", "prometheus-1")
ALERTMANAGERS = ("alertmanager", "alertmanager-1", "alertmanager-2")
#: Fifteen times as fast as shipped.
SPEED = 15
#: Seconds that the second, third Alertmanager waits for the ones before it; 15 as shipped. With
#: longer ones in proportion a group would have changed before its turn came.
PATIENCE = 1


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The overlay as the compose plugin resolves it."""
    needed("docker-compose")
    files = ("-f", ROOT / "docker-compose.yml", "-f", ROOT / "docker-compose.replicas.yml")
    result = subprocess.run(
        [str(find("docker-compose")), *files, "config", "--format", "json"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/",
            "POSTGRES_PASSWORD": "p",
            "DJANGO_SECRET_KEY": "k",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, dict[str, Any]] = json.loads(result.stdout)["services"]
    return found


def test_each_has_data_and_a_name_of_its_own(services: dict[str, dict[str, Any]]) -> None:
    for names, folder in ((PROMETHEUS, "/prometheus"), (ALERTMANAGERS, "/alertmanager")):
        volumes = {
            volume["source"]
            for name in names
            for volume in services[name]["volumes"]
            if volume["target"] == folder
        }
        assert len(volumes) == len(names)
    replicas = [services[name]["environment"]["PROMETHEUS_REPLICA"] for name in PROMETHEUS]
    assert len(set(replicas)) == len(replicas)


def test_each_knows_all_others(services: dict[str, dict[str, Any]]) -> None:
    peers = {f"--cluster.peer={name}:9094" for name in ALERTMANAGERS}
    targets = HERE / "prometheus/targets/replicas"

    for name in ALERTMANAGERS:
        assert peers <= set(services[name]["command"])
    for name in PROMETHEUS:
        (folder,) = (
            Path(volume["source"])
            for volume in services[name]["volumes"]
            if volume["target"] == "/etc/prometheus/targets"
        )
        assert folder == targets
    (alertmanagers,) = yaml.safe_load((targets / "alertmanager.yml").read_text())
    assert alertmanagers["targets"] == [f"{name}:9093" for name in ALERTMANAGERS]


def test_links_and_flags_are_the_same_of_all(services: dict[str, dict[str, Any]]) -> None:
    for names in (PROMETHEUS, ALERTMANAGERS):
        flags = {str((services[name]["entrypoint"], services[name]["command"])) for name in names}
        assert len(flags) == 1
        assert "--web.external-url=" in flags.pop()


class Replicas:
    """The running processes, and what they notified."""

    def __init__(self, layout: Layout, service: Service, parts: dict[str, Part]) -> None:
        self.layout = layout
        self.service = service
        self.parts = parts

    def notified(self, alert: str, status: str, since: float = 0) -> list[dict[str, Any]]:
        """Notifications of alerts of this name that began after ``since``."""
        file = self.layout.logs / "notifications.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            message
            for message in map(json.loads, lines)
            if any(
                (each["labels"]["alertname"], each["status"]) == (alert, status)
                and datetime.fromisoformat(each["startsAt"]).timestamp() > since
                for each in message["alerts"]
            )
        ]

    def quiet(self) -> bool:
        """Whether none of the alerts of the test fires at any of them."""
        found = [
            requests.get(part.ready.replace("/-/ready", "/api/v2/alerts"), timeout=5).json()
            for name, part in self.parts.items()
            if name in ALERTMANAGERS
        ]
        names = {each["labels"]["alertname"] for alerts in found for each in alerts}
        return not names & {NAME, "PrometheusDown", "AlertmanagerDown", "NotificationsFailing"}

    def once(self, alert: str, status: str, since: float = 0) -> dict[str, Any]:
        """The one notification, when every Alertmanager had its turn."""
        problem = f"{alert} was not notified as {status}"
        poll(lambda: self.notified(alert, status, since), 60, problem)
        # And two turns of the group.
        time.sleep(len(ALERTMANAGERS) * PATIENCE + 2 * 60 / SPEED)
        found = self.notified(alert, status, since)
        said = [
            (
                message["receivedAt"],
                each["labels"].get("instance"),
                each["status"],
                each["startsAt"],
            )
            for message in found
            for each in message["alerts"]
        ]
        assert len(found) == 1, said
        return found[0]


@pytest.fixture(scope="module")
def replicas(
    services: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    needed("alertmanager", "prometheus")
    layout = Layout(tmp_path_factory.mktemp("replicas"), {name: free_port() for name in PORTS})
    layout.make()
    service, jaeger = Service(), Service()
    # Host and port within the compose network, and here.
    here = {
        f"{name}:{port}": f"127.0.0.1:{free_port()}"
        for names, ports in ((PROMETHEUS, (9090,)), (ALERTMANAGERS, (9093, 9094)))
        for name in names
        for port in ports
    }
    config = layout.folder / "config"
    render(
        config,
        api=service.address,
        alertmanager=",".join(here[f"{name}:9093"] for name in ALERTMANAGERS),
        jaeger_metrics=jaeger.address,
        prometheus=",".join(here[f"{name}:9090"] for name in PROMETHEUS),
        notifications=layout.address("NOTIFICATIONS_PORT"),
        speed=SPEED,
    )

    def part(name: str, port: int) -> Part:
        program = name.partition("-")[0]
        shipped = [*(services[name]["entrypoint"] or [])[1:], *services[name]["command"]]
        address = here[f"{name}:{port}"]
        own = {
            "--config.file": str(config / program / f"{program}.yml"),
            "--storage.tsdb.path": str(layout.folder / name),
            "--storage.path": str(layout.folder / name),
            "--cluster.listen-address": here.get(f"{name}:9094", ""),
        }
        flags = []
        for flag in shipped:
            option, _, value = flag.partition("=")
            flags.append(f"{option}={own.get(option, here.get(value, value))}")
        flags.append(f"--web.listen-address={address}")
        if program == "prometheus":
            flags.append(f"--rules.alert.resend-delay={60_000 / SPEED:.0f}ms")
        else:
            flags += [
                f"--cluster.advertise-address={here[f'{name}:9094']}",
                f"--cluster.peer-timeout={PATIENCE}s",
            ]
        return Part(
            name,
            [str(find(program)), *flags],
            layout.logs / f"{name}.log",
            f"http://{address}/-/ready",
            services[name].get("environment") or {},
        )

    parts = {name: part(name, 9093) for name in ALERTMANAGERS}
    parts |= {name: part(name, 9090) for name in PROMETHEUS}
    with started(notifications(layout), *parts.values()):
        yield Replicas(layout, service, parts)
    for each in (service, jaeger):
        each.server.shutdown()
        each.server.server_close()


def failing(service: Service, *, on: bool) -> None:
    names = ("database_connections_total", "database_connection_failures_total")
    service.growth = {f'{name}{{database="default"}}': 10.0 * on for name in names}


NAME = "DatabaseConnectionErrors"


def test_one_notification_and_not_six_also_after_one_of_each_is_killed(replicas: Replicas) -> None:
    failing(replicas.service, on=True)
    told = replicas.once(NAME, "firing")
    assert "replica" not in told["commonLabels"]
    failing(replicas.service, on=False)
    replicas.once(NAME, "resolved")

    # Until it knows of its targets Prometheus takes the whole stack for down.
    poll(replicas.quiet, 60, "something else fires")
    killed = time.time()
    for name in (PROMETHEUS[0], ALERTMANAGERS[0]):
        process = replicas.parts[name].process
        assert process is not None
        process.kill()

    # Each is told once itself, by those that are left.
    for alert in ("PrometheusDown", "AlertmanagerDown"):
        replicas.once(alert, "firing", killed)
    # What Prometheus cannot send to the one that is down is explained by that.
    assert replicas.notified("NotificationsFailing", "firing", killed) == []
    failing(replicas.service, on=True)
    replicas.once(NAME, "firing", killed)
    failing(replicas.service, on=False)
    replicas.once(NAME, "resolved", killed)
