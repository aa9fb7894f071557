"""One drill: from a healthy system through a fault to a healthy system."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests

from tools.drill import judge, panels, series
from tools.drill.fault import Fault
from tools.drill.field import Field, poll
from tools.drill.watch import watched

#: Seconds to look on after the alert came: what else fires, and who is told how often.
_LOOK_ON = 4.0
#: Seconds of full-length time: the longest window of an alert, and some.
_ENDS_WITHIN = 900.0


@dataclass
class Result:
    fault: str
    what: str
    alert: str
    #: The alert's ``for``, in seconds as shipped.
    hold: float
    #: Seconds that it took to make the fault.
    made: float = 0.0
    #: Seconds from then until the alert came: measured, and the most that is allowed.
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
    """Make the fault, see its alert, end both. The alert's time is for ``late`` to judge."""
    result = Result(fault.name, fault.what, fault.alert, fault.hold)
    result.allowed = fault.allowed(it.speed, it.scrape)
    try:
        it.renew()
    except RuntimeError as error:
        # The next fault begins with new processes, too.
        result.problems = [f"not begun: {error}"]
        return result
    if touched := series.touched(fault.moves, it.metrics_urls()):
        # An alert that follows would prove nothing of a first failure.
        result.problems = touched
        return result
    since = time.time()
    with watched(it) as seen:
        try:
            _make(it, fault, since, result)
        except (RuntimeError, requests.RequestException) as error:
            result.problems.append(str(error))
        over = time.monotonic()
        fault.end(it)
        try:
            poll(
                lambda: _is_over(it, fault),
                _ENDS_WITHIN / it.speed + 60,
                lambda: f"{fault.alert} does not end",
            )
            result.resolved = time.monotonic() - over
            if result.notifications:
                judge.told_of_the_end(it, fault, since)
        except RuntimeError as error:
            result.problems.append(str(error))
    result.companions = sorted(seen.keys() - {fault.alert})
    unexpected = sorted(set(result.companions) - fault.companions.keys())
    result.problems += [f"{name} fires as well" for name in unexpected]
    return result


def _make(it: Field, fault: Fault, since: float, result: Result) -> None:
    """From the fault's beginning until all is seen that it should show."""
    began = time.monotonic()
    fault.begin(it)
    there = time.monotonic()
    result.made = there - began
    with _kept(it, fault):
        alert = _await_alert(it, fault, 3 * result.allowed + 20)
        result.fired = time.monotonic() - there
        looked = time.monotonic()
        result.problems += judge.wrong(it, fault, alert, since)
        result.problems += series.unmoved(fault.moves, it.metrics_urls())
        result.problems += panels.empty(it, fault.panels)
        time.sleep(max(looked + _LOOK_ON - time.monotonic(), 0))
        if fault.told:
            result.notifications, problems = judge.notifications(it, fault, since)
            result.problems += problems
        if _is_over(it, fault):
            result.problems.append("it ended before the fault did")


@contextmanager
def _kept(it: Field, fault: Fault) -> Iterator[None]:
    """The fault goes on while the block runs."""
    ended = threading.Event()

    def keep() -> None:
        while fault.keep is not None:
            fault.keep(it)
            if ended.wait(fault.every / it.speed):
                return

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


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


def _is_over(it: Field, fault: Fault) -> bool:
    if it.firing().get(fault.alert):
        return False
    return not fault.told or all(
        alert["endsAt"] <= datetime.now(UTC).isoformat() for alert in it.told().get(fault.alert, [])
    )
