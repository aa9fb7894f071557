"""Prometheus: targets, fresh series, exemplars, rules, and the alert that always fires."""

from __future__ import annotations

import time
from typing import Any

from tools.doctor import ask
from tools.doctor.check import Failed, Skipped, System, until

JOB = "expense-tracker-api"
WATCHDOG = "Watchdog"
#: Seconds until a scrape has been; it is every 15 s as shipped.
_SCRAPED = 25.0
#: Age in seconds above which a series is not fresh: some scrapes were missed.
_FRESH = 60.0


def _api(system: System, path: str, **parameters: str) -> Any:
    return ask.json(f"{system.prometheus}/api/v1/{path}", parameters)["data"]


def answers(system: System) -> str:
    version = _api(system, "status/buildinfo")["version"]
    return f"{version} at {system.prometheus}"


def targets(system: System) -> str:
    def known() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _api(system, "targets", state="active")["activeTargets"]
        return found

    # Prometheus reads its files of targets some seconds after its start, then comes the scrape.
    until(
        lambda: (
            any(target["labels"]["job"] == JOB for target in known())
            and all(target["health"] != "unknown" for target in known())
        ),
        _SCRAPED,
    )
    found = known()
    if not any(target["labels"]["job"] == JOB for target in found):
        raise Failed(f"Prometheus knows no target of {JOB}")
    down = [
        f"{target['labels']['job']} {target['scrapeUrl']} ({target['lastError'] or 'no scrape'})"
        for target in found
        if target["health"] != "up"
    ]
    if down:
        raise Failed(f"{len(down)} of {len(found)} are down: {'; '.join(down)}")
    return f"all {len(found)} are up"


def series(system: System) -> str:
    """Does what the API counts arrive, and is it of now."""
    query = f'time() - max(timestamp(build_info{{job="{JOB}"}}))'

    def age() -> float | None:
        result = _api(system, "query", query=query)["result"]
        return float(result[0]["value"][1]) if result else None

    until(lambda: age() is not None, _SCRAPED)
    seconds = age()
    if seconds is None:
        raise Failed(f"Prometheus has no series of {JOB}")
    if seconds > _FRESH:
        raise Failed(f"the newest sample of {JOB} is {seconds:.0f} s old")
    (number,) = _api(system, "query", query=f'count({{job="{JOB}"}})')["result"]
    return f"{number['value'][1]} series of {JOB}, the newest sample is {seconds:.0f} s old"


def exemplars(system: System) -> str:
    """Does a duration lead to a trace. Our own sampled request gives one if nobody else's did."""
    now = time.time()

    def found() -> int:
        answer = _api(
            system,
            "query_exemplars",
            query=f'http_request_duration_seconds_bucket{{job="{JOB}"}}',
            start=f"{now - 3600:.0f}",
            end=f"{time.time() + 1:.0f}",
        )
        return sum("trace_id" in each["labels"] for one in answer for each in one["exemplars"])

    count = until(found, _SCRAPED if system.sampled else 0)
    if not count and not system.sampled:
        raise Skipped("there are none, and no request was sampled that could bring one")
    if not count:
        raise Failed("no exemplar of the last hour has a trace_id")
    return f"{count} of the last hour lead to traces"


def rules(system: System) -> str:
    found = _rules(system)
    if not found:
        raise Failed("Prometheus has no rules: nothing will ever alert")
    broken = [rule for rule in found if rule["health"] == "err"]
    if broken:
        words = (f"{rule['name']} ({rule.get('lastError', '')})" for rule in broken)
        raise Failed(f"{len(broken)} of {len(found)} rules fail: {'; '.join(words)}")
    return f"{len(found)} are evaluated"


def watchdog(system: System) -> str:
    """The whole way of an alert: evaluated by Prometheus, taken by Alertmanager."""
    if WATCHDOG not in {rule["name"] for rule in _rules(system)}:
        raise Skipped(f"there is no rule {WATCHDOG}")

    def firing() -> bool:
        alerts = _api(system, "alerts")["alerts"]
        return any(
            alert["labels"]["alertname"] == WATCHDOG and alert["state"] == "firing"
            for alert in alerts
        )

    def told() -> Any:
        parameters = {"filter": f'alertname="{WATCHDOG}"', "active": "true"}
        return ask.json(f"{system.alertmanager}/api/v2/alerts", parameters)

    if not until(firing, _SCRAPED):
        raise Failed(f"{WATCHDOG} is a rule and does not fire")
    if not until(told, _SCRAPED / 2):
        raise Failed(
            f"{WATCHDOG} fires in Prometheus and does not reach Alertmanager",
            f"{system.prometheus}/api/v1/alertmanagers must list {system.alertmanager}; "
            "targets/alertmanager.yml says where Prometheus looks",
        )
    return f"{WATCHDOG} fires, and Alertmanager has it"


def _rules(system: System) -> list[dict[str, Any]]:
    groups = _api(system, "rules")["groups"]
    return [rule for group in groups for rule in group["rules"]]
