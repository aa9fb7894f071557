"""``make quiet``: an hour of a healthy day, compressed, in which nothing critical may fire.

    make quiet                 # twelve times as fast as shipped
    make quiet FACTOR=1        # the whole hour

Prints what each phase did and every alert that fired. A warning is allowed where ``EXPECTED`` gives
its reason.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from testing.postgres import PostgresError
from tools.drill.field import Field
from tools.drill.watch import watched
from tools.local.machine import machine
from tools.local.system import StartError
from tools.local.traffic import number

#: Warnings of a healthy day, and why they may be.
EXPECTED: dict[str, str] = {
    "RequestsRefused": "the bad client's wrong tokens are more than all other requests; that looks "
    "as if nobody's token were known",
}
#: Requests a second of the night, the day and a burst.
NIGHT, DAY, BURST = 0.2, 12.0, 40.0


@dataclass(frozen=True)
class Phase:
    what: str
    #: Minutes of the hour.
    minutes: float
    rate: float
    #: Runs beside the phase's traffic and may take its time; gets the seconds that the phase has.
    act: Callable[[Field, float], str] | None = None


def _one_failure(it: Field, _seconds: float) -> str:
    return f"answered {it.get('/api/v1/demo/faults/error/')}"


def _deploy(it: Field, seconds: float) -> str:
    """One instance after the other replaces its workers."""
    for part in (it.api, it.second):
        assert part is not None
        assert part.process is not None
        part.process.send_signal(signal.SIGHUP)
        time.sleep(seconds / 3)
    return "both instances have new workers"


def _database_restart(it: Field, _seconds: float) -> str:
    """Five seconds at full length, and what PostgreSQL needs to start."""
    assert it.database is not None
    began = time.monotonic()
    it.database.stop()
    time.sleep(max(5 / it.speed - (time.monotonic() - began), 0))
    it.database.start()
    away = time.monotonic() - began
    return f"away for {away:.1f} s, which is {away * it.speed:.0f} s at full length"


def _bad_client(it: Field, seconds: float) -> str:
    """Wrong paths, wrong tokens, wrong bodies, as fast as one client can."""
    ends = time.monotonic() + seconds
    sent = 0
    with requests.Session() as session:
        while time.monotonic() < ends:
            sent += 1
            path, method, token = (
                (f"/wp-admin/{sent}.php", "GET", ""),
                ("/api/v1/expenses/", "GET", "wrong"),
                ("/api/v1/expenses/", "POST", ""),
                ("/api/v1/auth/login/", "PUT", ""),
            )[sent % 4]
            headers = {"Authorization": f"Token {token}"} if token else {}
            answer = session.request(method, it.url(path), headers=headers, timeout=15)
            if answer.status_code < 400 or answer.status_code >= 500:
                return f"{method} {path} was answered {answer.status_code}"
    return f"{sent} requests of a bad client, all 4xx"


PHASES = (
    Phase("night", 6, NIGHT),
    Phase("night, one request fails", 6, NIGHT, _one_failure),
    Phase("day", 8, DAY),
    Phase("burst", 5, BURST),
    Phase("deploy with rolling workers", 8, DAY, _deploy),
    Phase("restart of the database", 9, DAY, _database_restart),
    Phase("storm of a bad client", 8, DAY, _bad_client),
    Phase("day", 4, DAY),
    Phase("night again", 6, NIGHT),
)


@dataclass
class Seen:
    """What a phase did, and the alerts that fired: their severity and summary by name."""

    what: str
    minutes: float
    answers: str
    did: str
    fired: dict[str, list[str]]

    def lines(self) -> list[str]:
        did = f"; {self.did}" if self.did else ""
        return [f"{self.what}, {self.minutes:g} min: {self.answers}{did}"] + [
            f"    {severity}: {name}: {summary} ({EXPECTED.get(name, 'not expected')})"
            for name, (severity, summary) in self.fired.items()
        ]


def live(it: Field, phase: Phase) -> Seen:
    """One phase of the hour."""
    load = it.load
    assert load is not None
    load.rate = phase.rate
    load.seen.clear()
    lasts = phase.minutes * 60 / it.speed
    ends = time.monotonic() + lasts
    with watched(it) as fired:
        did = phase.act(it, lasts) if phase.act else ""
        time.sleep(max(ends - time.monotonic(), 0))
    answers = ", ".join(f"{count} x {what}" for what, count in sorted(load.seen.items()))
    return Seen(phase.what, phase.minutes, answers, did, fired)


def unexpected(fired: dict[str, list[str]]) -> list[str]:
    return sorted(
        name
        for name, (severity, _) in fired.items()
        if severity == "critical" or name not in EXPECTED
    )


def hour(it: Field) -> tuple[list[Seen], str]:
    """All phases, and what must not be, in a line; empty when all is well."""
    phases: list[Seen] = []
    it.renew()
    for phase in PHASES:
        seen = live(it, phase)
        phases.append(seen)
        print("\n".join(seen.lines()), flush=True)
    wrong = sorted({name for seen in phases for name in unexpected(seen.fired)})
    return phases, ", ".join(wrong)


def main() -> int:
    factor = number("FACTOR", 12, 1, 30)
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-quiet-"))
    said: list[str] = []
    it = Field(folder, factor, said.append)
    phases: list[Seen] = []
    wrong = "it did not run to its end"
    try:
        it.start()
        print(f"an hour in {60 / factor:.1f} minutes, rules {factor:g} times as fast as shipped")
        phases, wrong = hour(it)
    except (StartError, PostgresError, RuntimeError, requests.RequestException) as error:
        print(f"make quiet: {error}\n" + "\n".join(said[-5:]))
    finally:
        it.stop()
    result = f"FAIL: {wrong}" if wrong else "ok, nothing fired that should not"
    print(result)
    if wrong:
        print(f"logs are in {it.layout.logs}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    report(phases, factor, result)
    return 1 if wrong else 0


def report(phases: list[Seen], factor: float, result: str) -> None:
    """What was seen as JSON, where ``REPORT`` names a file."""
    if not (name := os.environ.get("REPORT", "")):
        return
    content = {
        "machine": machine(),
        "factor": factor,
        "phases": [asdict(phase) for phase in phases],
        "result": result,
    }
    Path(name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
