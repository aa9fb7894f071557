"""Cases of the alerts of the probe."""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, gauge, series
from monitoring.alerts.table import JOB

_LINKS = {
    "dashboard_url": f"system-health?from=now-1h&to=now&var-job={JOB}&var-instance=a",
    "traces_url": "&tags=%7B%22error%22%3A%22true%22%7D",
}


def cases() -> list[Case]:
    return [*_failing(), *_down()]


def _failing() -> list[Case]:
    name = "ServiceProbeFailing"
    readiness = {series("probe_success", check="readiness"): gauge((1, 120))}

    def login(*phases: tuple[float, int]) -> dict[str, str]:
        return readiness | {series("probe_success", check="login"): gauge(*phases)}

    failing = login((1, 20), (0, 40), (1, 60))
    long = [(0.0, 8), (10.0, 112)]
    return [
        Case(
            name,
            "nobody can log in from 5m on for ten minutes, and nobody else tries",
            failing,
            starts="8m",
            ends="15m",
            labels={"job": JOB, "instance": "a", "check": "login"},
            says=_LINKS | {"summary": "The probe's check of login fails at a"},
        ),
        Case(
            name,
            "a deploy: it fails for two minutes",
            login((1, 20), (0, 8), (1, 92)),
            silent="30m",
        ),
        Case(
            name,
            "it fails every second time",
            {series("probe_success", check="login"): "1 1 0 0 " * 30},
            silent="30m",
        ),
        Case(name, "without a token there is no login to check", readiness, silent="30m"),
        Case(
            name,
            "its instance has no connection to the database, which is told already",
            failing
            | {
                series("database_connection_failures_total", database="default"): counter(*long),
                series("database_connections_total", database="default"): counter(*long),
            },
            silent="30m",
        ),
        Case(
            name,
            "another instance has none",
            failing
            | {
                series(metric, instance="b", database="default"): counter(*long)
                for metric in ("database_connection_failures_total", "database_connections_total")
            },
            starts="8m",
        ),
        Case(
            name,
            "its instance is down, which is told already",
            failing
            | {
                series("up"): gauge((1, 20), (0, 40), (1, 60)),
                series("up", instance="b"): gauge((1, 120)),
            },
            silent="30m",
        ),
        Case(
            name,
            "another instance is down",
            failing
            | {
                series("up"): gauge((1, 120)),
                series("up", instance="b"): gauge((1, 20), (0, 40), (1, 60)),
            },
            starts="8m",
        ),
    ]


def _down() -> list[Case]:
    name = "ProbeDown"

    def up(*phases: tuple[float, int]) -> dict[str, str]:
        return {series("up", job="probe", instance="h:1"): gauge(*phases)}

    return [
        Case(
            name,
            "away from 5m on for ten minutes",
            up((1, 20), (0, 40), (1, 20)),
            starts="10m",
            ends="15m",
            labels={"job": "probe", "instance": "h:1"},
            says={"summary": "The probe of readiness and login is down"},
        ),
        Case(
            name,
            "no such target",
            {},
            starts="5m",
            labels={"job": "probe"},
            says={"summary": "The probe of readiness and login is down"},
        ),
        Case(name, "away for four minutes", up((1, 20), (0, 16), (1, 40)), silent="18m"),
    ]
