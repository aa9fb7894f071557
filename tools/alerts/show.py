"""``make alerts``: which alerts fire, since when, and whether anybody is notified of them.

The list is Alertmanager's, together with what fires in Prometheus and has not reached it.
``PROMETHEUS_URL`` and ``ALERTMANAGER_URL`` name other servers than those of ``make up``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tools.alerts.alertmanager import NotAnsweredError, alertmanager_url, call, prometheus_url

_ORDER = {"critical": 0, "warning": 1}
#: Labels that a person need not read: part of the heading, or the same for all.
_NOT_SHOWN = {"alertname", "severity", "team", "job"}


@dataclass(frozen=True)
class FiringAlert:
    labels: dict[str, str]
    annotations: dict[str, str]
    since: datetime
    #: ``notified``, or why not.
    state: str

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "?")

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "none")

    def lines(self, now: datetime) -> list[str]:
        """How the alert is shown."""
        labels = ", ".join(
            f"{name}={value}"
            for name, value in sorted(self.labels.items())
            if name not in _NOT_SHOWN
        )
        found = [
            f"{self.severity:9} {self.name}, since {self.since:%Y-%m-%d %H:%M} UTC "
            f"({age(now - self.since)}), {self.state}"
        ]
        if summary := self.annotations.get("summary"):
            found.append(f"          {summary}")
        if labels:
            found.append(f"          {labels}")
        if runbook := self.annotations.get("runbook_url"):
            found.append(f"          {runbook}")
        return found


def age(passed: timedelta) -> str:
    """``45 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
    total = max(int(passed.total_seconds()), 0)
    if total < 60:
        return f"{total} s"
    minutes, hours, days = total // 60, total // 3600, total // 86_400
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def moment(text: str) -> datetime:
    """A time of either API, whose fractions of a second have up to nine digits."""
    return datetime.fromisoformat(text).astimezone(UTC)


def from_alertmanager(url: str) -> list[FiringAlert]:
    """Alertmanager's alerts, the silenced and inhibited ones included. Raises NotAnsweredError."""
    alerts = call("GET", f"{url}/api/v2/alerts")
    silences = {each["id"]: each for each in call("GET", f"{url}/api/v2/silences")}
    names = {each["fingerprint"]: each["labels"].get("alertname", "?") for each in alerts}
    return [
        FiringAlert(
            each["labels"],
            each["annotations"],
            moment(each["startsAt"]),
            _state(each, names, silences),
        )
        for each in alerts
    ]


def _state(alert: dict[str, Any], names: dict[str, str], silences: dict[str, Any]) -> str:
    status = alert["status"]
    reasons = []
    for silence in status["silencedBy"]:
        found = silences.get(silence)
        until = f" until {moment(found['endsAt']):%H:%M} UTC" if found else ""
        why = f" by {found['createdBy']}: {found['comment']}" if found else ""
        reasons.append(f"silenced{until}{why} ({silence})")
    if sources := sorted({names.get(each, each) for each in status["inhibitedBy"]}):
        reasons.append(f"inhibited by {', '.join(sources)}")
    if muted := status.get("mutedBy"):
        reasons.append(f"muted by the time interval {', '.join(muted)}")
    if status["state"] == "unprocessed" and not reasons:
        return "not notified yet"
    return "; ".join(reasons) or "notified to " + ", ".join(
        sorted(receiver["name"] for receiver in alert["receivers"])
    )


def from_prometheus(url: str) -> tuple[list[FiringAlert], list[str]]:
    """Prometheus' firing alerts, and the names of those that wait. Raises NotAnsweredError."""
    alerts = call("GET", f"{url}/api/v1/alerts")["data"]["alerts"]
    firing = [
        FiringAlert(
            each["labels"],
            each["annotations"],
            moment(each["activeAt"]),
            "not at Alertmanager: nobody is notified",
        )
        for each in alerts
        if each["state"] == "firing"
    ]
    waiting = sorted({each["labels"]["alertname"] for each in alerts if each["state"] == "pending"})
    return firing, waiting


def unreported(firing: list[FiringAlert], known: list[FiringAlert]) -> list[FiringAlert]:
    """What fires and is not among ``known``, where external labels may have been added or taken."""
    there = [set(each.labels.items()) for each in known]
    return [
        each
        for each in firing
        if not any(
            each.name == dict(labels)["alertname"]
            and dict(each.labels.items() - labels).keys() <= {"replica"}
            for labels in there
        )
    ]


def main() -> int:
    problems: list[str] = []
    known: list[FiringAlert] = []
    firing: list[FiringAlert] = []
    waiting: list[str] = []
    silences: list[str] = []
    try:
        known = from_alertmanager(alertmanager_url())
        silences = idle_silences(alertmanager_url(), known)
    except NotAnsweredError as error:
        problems.append(f"Alertmanager did not answer, nobody is notified of anything: {error}")
    try:
        firing, waiting = from_prometheus(prometheus_url())
    except NotAnsweredError as error:
        problems.append(f"Prometheus did not answer, what it would say is missing: {error}")
    if len(problems) == 2:
        print("\n".join(["make alerts: neither can be asked", *problems]), file=sys.stderr)
        return 1
    show(known + unreported(firing, known), waiting)
    print("".join(f"{line}\n" for line in silences + problems), end="")
    return 0


def idle_silences(url: str, alerts: list[FiringAlert]) -> list[str]:
    """Silences that hold now and silence nothing that fires, a line for each."""
    used = " ".join(each.state for each in alerts)
    return [
        f"silence {each['id']} until {moment(each['endsAt']):%Y-%m-%d %H:%M} UTC by "
        f"{each['createdBy']}: {each['comment']} ({_matchers(each)}; nothing of it fires)"
        for each in call("GET", f"{url}/api/v2/silences")
        if each["status"]["state"] == "active" and each["id"] not in used
    ]


def _matchers(silence: dict[str, Any]) -> str:
    signs = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
    return ", ".join(
        f"{each['name']}{signs[each.get('isEqual', True), each['isRegex']]}{each['value']}"
        for each in silence["matchers"]
    )


def show(alerts: list[FiringAlert], waiting: list[str]) -> None:
    """Print the alerts, the gravest and oldest first."""
    now = datetime.now(UTC)
    watchdog = [each for each in alerts if each.name == "Watchdog"]
    shown = [each for each in alerts if each.name != "Watchdog"]
    for alert in sorted(shown, key=lambda each: (_ORDER.get(each.severity, 2), each.since)):
        print("\n".join(alert.lines(now)))
    if not shown:
        print("no alert fires")
    if waiting:
        print(f"pending (their condition holds, but not long enough): {', '.join(waiting)}")
    if watchdog:
        print(f"Watchdog fires as it should, {watchdog[0].state}")
    else:
        print("Watchdog does not fire: the way from Prometheus to Alertmanager is broken")


if __name__ == "__main__":
    sys.exit(main())
