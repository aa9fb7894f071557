"""``make drill``: make each fault, wait for its alert, end it, and tell the times.

    make drill                              # all, thirty times as fast as shipped
    make drill FAULT=database-stopped FACTOR=1
    make drill REPORT=drill.json            # the table as JSON as well

Times are of the rules as shipped, divided by one factor; the table shows both.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from monitoring.alerts.generate import ALERTS
from monitoring.alerts.table import THRESHOLDS
from monitoring.render import HERE, seconds
from scripts.drill.faults import BY_NAME, FAULTS, Fault
from scripts.drill.field import Field, poll
from scripts.local.machine import machine
from scripts.local.system import StartError
from scripts.postgres import PostgresError
from scripts.traffic import number

RULES = {alert.name: alert.rule() for alerts in ALERTS.values() for alert in alerts}
#: Seconds to look on after the alert came: what else fires, and who is told how often.
_LOOK_ON = 4.0


@dataclass
class Result:
    fault: str
    what: str
    alert: str
    #: Seconds from the fault's beginning: measured, and the most that is allowed.
    fired: float = 0.0
    allowed: float = 0.0
    #: Seconds from the fault's end until the alert was over.
    resolved: float = 0.0
    notifications: int = 0
    companions: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def late(result: Result) -> list[str]:
    """What is wrong with the alert's time: said of a machine that does nothing else."""
    if result.fired <= result.allowed:
        return []
    return [f"came after {result.fired:.1f} s, not {result.allowed:.1f}"]


def drill(it: Field, fault: Fault) -> Result:
    """One fault from a healthy system to a healthy system. Its time is for ``late`` to judge."""
    result = Result(fault.name, fault.what, fault.alert)
    hold = seconds(THRESHOLDS[fault.alert].hold)
    result.allowed = (hold + fault.reach) / it.speed + 3 * it.scrape + fault.lag + 10 / it.speed
    it.renew()
    began, since = time.monotonic(), time.time()
    ended = threading.Event()
    keeping = threading.Thread(target=_keep, args=(it, fault, ended), daemon=True)
    fault.begin(it)
    keeping.start()
    try:
        alert = _await_alert(it, fault, 3 * result.allowed + 20)
        result.fired = time.monotonic() - began
        result.problems += _wrong(it, fault, alert)
        result.companions = sorted(_look_on(it) - {fault.alert, "Watchdog"})
        unexpected = sorted(set(result.companions) - fault.companions)
        result.problems += [f"{name} fires as well" for name in unexpected]
        if fault.told:
            result.notifications = _notifications(it, fault, since, result)
    except RuntimeError as error:
        result.problems.append(str(error))
    finally:
        ended.set()
        keeping.join(30)
        over = time.monotonic()
        fault.end(it)
    try:
        poll(lambda: _is_over(it, fault), 180, lambda: f"{fault.alert} does not end")
    except RuntimeError as error:
        result.problems.append(str(error))
    result.resolved = time.monotonic() - over
    return result


def _keep(it: Field, fault: Fault, ended: threading.Event) -> None:
    while fault.keep is not None and not ended.wait(fault.every / it.speed):
        fault.keep(it)


def _await_alert(it: Field, fault: Fault, patience: float) -> dict[str, Any]:
    found = it.told if fault.told else it.firing

    def right() -> dict[str, Any] | None:
        wanted = fault.labels.items()
        return next(
            (each for each in found().get(fault.alert, []) if wanted <= each["labels"].items()),
            None,
        )

    alert: dict[str, Any] = poll(right, patience, lambda: f"{fault.alert} did not come")
    return alert


def _look_on(it: Field) -> set[str]:
    """All alerts that fire while the fault goes on."""
    seen: set[str] = set()
    until = time.monotonic() + _LOOK_ON
    while time.monotonic() < until:
        seen |= it.firing().keys()
        time.sleep(0.2)
    return seen


def _wrong(it: Field, fault: Fault, alert: dict[str, Any]) -> list[str]:
    """What is not right about an alert's labels and links."""
    problems = [
        f"label {name} is {alert['labels'].get(name)!r}, not {value!r}"
        for name, value in RULES[fault.alert]["labels"].items()
        if alert["labels"].get(name) != value
    ]
    words = alert["annotations"]
    problems += [f"{name}: {text}" for name, text in words.items() if "<error" in text.lower()]
    if not (HERE.parent / words["runbook_url"]).is_file():
        problems.append(f"no runbook at {words['runbook_url']}")
    board = urlsplit(words["dashboard_url"]).path.rpartition("/")[2]
    if not (HERE / f"grafana/dashboards/{board}.json").is_file():
        problems.append(f"no dashboard {board}")
    return problems + _traces_problem(it, words["traces_url"])


def _traces_problem(it: Field, url: str) -> list[str]:
    """The link's search, asked of Jaeger's API; a Jaeger that is away is the fault itself."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    if not query.get("service"):
        return [f"no service in {url}"]
    asked = it.layout.url("JAEGER_QUERY_PORT", "/api/traces")
    try:
        answer = requests.get(asked, params=query | {"limit": "1"}, timeout=5)
    except requests.RequestException:
        return []
    return [] if answer.status_code == 200 else [f"Jaeger refuses {url}: {answer.text[:200]}"]


def _notifications(it: Field, fault: Fault, since: float, result: Result) -> int:
    """How often somebody was told of the alert; an inhibited one is part of another's news."""
    labels = RULES[fault.alert]["labels"]

    def told() -> list[dict[str, Any]]:
        return [
            each
            for each in it.notifications(since)
            if each["status"] == "firing"
            and any(alert["labels"]["alertname"] == fault.alert for alert in each["alerts"])
        ]

    def inhibited() -> bool:
        alerts = it.told().get(fault.alert, [])
        return bool(alerts) and all(alert["status"]["inhibitedBy"] for alert in alerts)

    # Who joins a group that was told of already waits for the group's next turn.
    turn = 300 / it.speed
    poll(lambda: told() or inhibited(), turn + 5, lambda: "nobody was told")
    return _counted(fault, labels, told(), result)


def _counted(
    fault: Fault, labels: dict[str, str], told: list[dict[str, Any]], result: Result
) -> int:
    if len(told) > fault.notifications:
        result.problems.append(f"{len(told)} notifications, not {fault.notifications}")
    wanted = _receiver(labels)
    result.problems += [
        f"{each['receiver']} was told, not {wanted}" for each in told if each["receiver"] != wanted
    ]
    return len(told)


def _receiver(labels: dict[str, str]) -> str:
    kind = {"critical": "page", "warning": "ticket"}[labels["severity"]]
    return f"{kind}-{labels['team']}"


def _is_over(it: Field, fault: Fault) -> bool:
    if it.firing().get(fault.alert):
        return False
    return not fault.told or all(
        alert["endsAt"] <= datetime.now(UTC).isoformat() for alert in it.told().get(fault.alert, [])
    )


def row(result: Result, factor: float) -> str:
    """A line of the table; times measured, and in brackets what that is at full length."""
    state = "ok" if not result.problems else "FAIL"
    return (
        f"{state:4} {result.fault:18} {result.alert:25} "
        f"fired {result.fired:5.1f} s ({result.fired * factor / 60:4.1f} min) "
        f"of {result.allowed:5.1f}, resolved {result.resolved:5.1f} s, "
        f"told {result.notifications}x"
        + (f", with {', '.join(result.companions)}" if result.companions else "")
        + "".join(f"\n     {problem}" for problem in result.problems)
    )


def main() -> int:
    factor = number("FACTOR", 30, 1, 30)
    names = os.environ.get("FAULT", "").split()
    if unknown := [name for name in names if name not in BY_NAME]:
        print(f"no such fault: {', '.join(unknown)}. There are: {' '.join(BY_NAME)}")
        return 2
    faults = [BY_NAME[name] for name in names] or list(FAULTS)
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-drill-"))
    said: list[str] = []
    it = Field(folder, factor, said.append)
    results = []
    try:
        it.start()
        print(f"{len(faults)} faults, rules {factor:g} times as fast as shipped", flush=True)
        for fault in faults:
            result = drill(it, fault)
            result.problems += late(result)
            results.append(result)
            print(row(result, factor), flush=True)
    except (StartError, PostgresError, RuntimeError) as error:
        print(f"make drill: {error}\n" + "\n".join(said[-5:]))
        return 1
    finally:
        it.stop()
        keep_logs = any(result.problems for result in results) or len(results) < len(faults)
        if keep_logs:
            print(f"logs are in {it.layout.logs}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    report(results, factor)
    return 1 if any(result.problems for result in results) else 0


def report(results: list[Result], factor: float) -> None:
    """The results as JSON, where ``REPORT`` names a file."""
    if not (name := os.environ.get("REPORT", "")):
        return
    content = {
        "machine": machine(),
        "factor": factor,
        "results": [asdict(result) for result in results],
    }
    Path(name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
