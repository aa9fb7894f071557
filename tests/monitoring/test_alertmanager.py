"""Who is told of which alert, asked of Alertmanager's own tool and of a running Alertmanager."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from monitoring.render import HERE
from monitoring.tools.build import find
from scripts.local.layout import PORTS, Layout
from scripts.local.stack import alertmanager
from scripts.postgres import free_port
from scripts.servers import poll
from tests.monitoring.test_rules import alerts

SHIPPED = HERE / "alertmanager/alertmanager.yml"
RECEIVERS = {"critical": "page", "warning": "ticket"}


def amtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = find("amtool")
    if program is None:
        pytest.skip("not built: amtool (make tools)")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_configuration_is_valid() -> None:
    assert amtool("check-config", str(SHIPPED)).returncode == 0


@pytest.mark.parametrize("name", alerts())
def test_an_alert_reaches_the_receiver_of_its_severity(name: str) -> None:
    labels = {"alertname": name, **alerts()[name]["labels"]}

    result = amtool(
        *("config", "routes", "test", f"--config.file={SHIPPED}"),
        *(f"{key}={value}" for key, value in labels.items()),
    )

    assert result.stdout.strip() == RECEIVERS[labels["severity"]], result.stderr


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager with the shipped configuration."""
    if find("alertmanager") is None:
        pytest.skip("not built: alertmanager (make tools)")
    layout = Layout(tmp_path_factory.mktemp("am"), {name: free_port() for name in PORTS})
    layout.make()
    part = alertmanager(layout, SHIPPED)
    part.start()
    try:
        assert part.wait_until_ready(20), part.last_words()
        yield layout.url("ALERTMANAGER_PORT")
    finally:
        part.stop()


def send(url: str, *labels: dict[str, str]) -> None:
    requests.post(f"{url}/api/v2/alerts", json=[{"labels": each} for each in labels], timeout=5)


def state(url: str, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = requests.get(f"{url}/api/v2/alerts", timeout=5).json()
    return next((alert["status"] for alert in found if alert["labels"]["alertname"] == name), {})


@pytest.mark.servers
def test_a_critical_alert_silences_the_warnings_of_its_service(running: str) -> None:
    send(
        running,
        {"alertname": "HighErrorRate", "severity": "critical", "service": "one"},
        {"alertname": "HighResponseTime", "severity": "warning", "service": "one"},
        {"alertname": "HighMemoryUsage", "severity": "warning", "service": "two"},
    )

    poll(lambda: state(running, "HighResponseTime").get("inhibitedBy"), 10, "it is not inhibited")
    assert state(running, "HighMemoryUsage")["inhibitedBy"] == []
