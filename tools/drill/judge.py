"""Is an alert what it should be: its labels, where its links lead, and who was told how often."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests

from monitoring.render import HERE
from tools.drill.fault import ALERT_BY_NAME, RULES, Fault
from tools.drill.field import Field, poll

#: Seconds until the spans of a request can be found in Jaeger.
_TRACES_WAIT = 15.0


def wrong(it: Field, fault: Fault, alert: dict[str, Any], since: float) -> list[str]:
    """What is not right about an alert's labels and links."""
    labels, words = alert["labels"], alert["annotations"]
    problems = [
        f"label {name} is {labels.get(name)!r}, not {value!r}"
        for name, value in RULES[fault.alert]["labels"].items()
        if labels.get(name) != value
    ]
    problems += [f"{name}: {text}" for name, text in words.items() if "<error" in text.lower()]
    if not (HERE.parent / words["runbook_url"]).is_file():
        problems.append(f"no runbook at {words['runbook_url']}")
    problems += _dashboard_problems(fault, labels, words["dashboard_url"])
    problems += _traces_problems(it, words["traces_url"], since)
    return problems + _targets_problems(it, fault)


def _dashboard_problems(fault: Fault, labels: dict[str, str], url: str) -> list[str]:
    parts = urlsplit(url)
    board = parts.path.rpartition("/")[2]
    if not (HERE / f"grafana/dashboards/{board}.json").is_file():
        return [f"no dashboard {board}"]
    chosen = {name: value for name, value in parse_qsl(parts.query) if name.startswith("var-")}
    wanted = {
        f"var-{name}": labels[name]
        for name in ALERT_BY_NAME[fault.alert].variables
        if name in labels
    }
    return [] if chosen == wanted else [f"the dashboard is opened with {chosen}, not {wanted}"]


def _traces_problems(it: Field, url: str, since: float) -> list[str]:
    """The link's search, asked of Jaeger's API: it must find traces of this fault, where it
    searches for more than the service. A Jaeger that is away is the fault itself."""
    query = dict(parse_qsl(urlsplit(url).query))
    if not query.get("service"):
        return [f"no service in {url}"]
    narrow = query.keys() & {"operation", "tags", "minDuration"}
    begin = {"start": f"{since * 1e6:.0f}"} if narrow else {}
    asked = it.layout.url("JAEGER_QUERY_PORT", "/api/traces")

    def found() -> bool:
        answer = requests.get(asked, params=query | begin | {"limit": "1"}, timeout=5)
        if answer.status_code != 200:
            raise RuntimeError(f"Jaeger refuses {url}: {answer.text[:200]}")
        return bool(answer.json()["data"]) or not narrow

    try:
        poll(found, _TRACES_WAIT, lambda: f"no traces at {url}")
    except requests.RequestException:
        return []
    except RuntimeError as error:
        return [str(error)]
    return []


def _targets_problems(it: Field, fault: Fault) -> list[str]:
    """What Prometheus says of its targets is what runbooks and the troubleshooting guide show."""

    def said() -> list[str]:
        targets = it.prometheus("targets", state="active")["activeTargets"]
        return [target["lastError"] for target in targets if target["health"] == "down"]

    if not fault.says or any(fault.says in error for error in said()):
        return []
    return [f"Prometheus says {said()} of its targets, not {fault.says!r}"]


def notifications(it: Field, fault: Fault, since: float) -> tuple[int, list[str]]:
    """How often somebody was told of the alert while it fired, and what is wrong with that."""

    def told() -> list[dict[str, Any]]:
        return _about(it, fault, since, "firing")

    # Who joins a group that was told of already waits for the group's next turn.
    poll(told, _turn(it), lambda: "nobody was told")
    found = told()
    wanted = _receiver(RULES[fault.alert]["labels"])
    problems = [
        f"{each['receiver']} was told, not {wanted}" for each in found if each["receiver"] != wanted
    ]
    if len(found) > fault.most_told:
        problems.append(f"{len(found)} notifications, not {fault.most_told}")
    return len(found), problems


def told_of_the_end(it: Field, fault: Fault, since: float) -> None:
    """Raises RuntimeError when nobody hears that the alert is over."""
    poll(
        lambda: _about(it, fault, since, "resolved"),
        _turn(it),
        lambda: f"nobody was told that {fault.alert} is over",
    )


def _about(it: Field, fault: Fault, since: float, status: str) -> list[dict[str, Any]]:
    """Notifications about the alert of this fault: one of the same name that began before, while
    Prometheus was looking for its targets, is another."""
    return [
        each
        for each in it.notifications(since)
        if any(
            alert["labels"]["alertname"] == fault.alert
            and alert["status"] == status
            and datetime.fromisoformat(alert["startsAt"]).timestamp() > since
            for alert in each["alerts"]
        )
    ]


def _turn(it: Field) -> float:
    """Seconds within which Alertmanager speaks again of a group (``group_interval``), and some."""
    return 300 / it.speed + 5


def _receiver(labels: dict[str, str]) -> str:
    kind = {"critical": "page", "warning": "ticket"}[labels["severity"]]
    return f"{kind}-{labels['team']}"
