"""Alertmanager: does it answer, and does it take an alert and its end."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.doctor import ask
from tools.doctor.check import Failed, System, until

NAME = "DoctorTest"
#: Seconds after which the alert ends by itself, should nobody come to end it.
_LIFE = 60


def answers(system: System) -> str:
    version = ask.json(f"{system.alertmanager}/api/v2/status")["versionInfo"]["version"]
    return f"{version} at {system.alertmanager}"


def test_alert(system: System) -> str:
    """Send an alert, find it, end it. It is over before its group waits long enough to be told."""
    labels = {
        "alertname": NAME,
        "severity": "none",
        "service": "doctor",
        "run": secrets.token_hex(8),
    }
    try:
        _send(system, labels, datetime.now(UTC) + timedelta(seconds=_LIFE))
        if not until(lambda: _found(system, labels), 10):
            raise Failed(f"{NAME} was taken and is not among the alerts")
    finally:
        _send(system, labels, datetime.now(UTC))
    if until(lambda: not _found(system, labels), 10) is not True:
        raise Failed(f"{NAME} was ended and is still among the alerts")
    return f"{NAME} arrived, and ended"


def _send(system: System, labels: dict[str, str], end: datetime) -> None:
    url = f"{system.alertmanager}/api/v2/alerts"
    alert = {
        "labels": labels,
        "annotations": {"summary": "A test of make doctor; nothing is wrong"},
        "startsAt": (end - timedelta(seconds=_LIFE)).isoformat(),
        "endsAt": end.isoformat(),
    }
    answer = ask.request("POST", url, json=[alert])
    if answer.status_code != 200:
        raise Failed(f"{url} answers {answer.status_code}: {answer.text[:200]}")


def _found(system: System, labels: dict[str, str]) -> bool:
    found: list[dict[str, Any]] = ask.json(
        f"{system.alertmanager}/api/v2/alerts", {"filter": f'run="{labels["run"]}"'}
    )
    return any(alert["labels"]["run"] == labels["run"] for alert in found)
