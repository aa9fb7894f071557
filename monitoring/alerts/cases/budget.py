"""Cases of the alerts about error budgets: each pair of windows fires, and ends with the short one.

Of the objective "expenses" 0.1 % may fail: factor 14.4 is 1.44 %, factor 6 is 0.6 %, 3 is 0.3 %.
"""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, histogram, series
from monitoring.alerts.table import JOB

_FAST, _SLOW = "ErrorBudgetFastBurn", "ErrorBudgetSlowBurn"
_EXPENSES = {"method": "GET", "endpoint": "/api/v1/expenses/"}
_LOGIN = {"method": "POST", "endpoint": "/api/v1/auth/login/"}
_AVAILABILITY = {"job": JOB, "slo": "expenses", "sli": "availability"}
_EXPENSES_LINKS = {
    "dashboard_url": f"slo?from=now-1h&to=now&var-job={JOB}&var-slo=expenses",
    "traces_url": "&tags=%7B%22error%22%3A%22true%22%7D",
}
_LOGIN_LINKS = {
    "dashboard_url": f"slo?from=now-1h&to=now&var-job={JOB}&var-slo=login",
    "traces_url": "&minDuration=0.5s",
}
_HOUR = 60
_OF_EXPENSES = '{slo="expenses", sli="availability"}'


def _answers(*phases: tuple[float, float, int]) -> dict[str, str]:
    """Phases of answers, of those that are 5xx, both a minute, and their minutes."""
    found = {
        "success": [(total - failed, minutes) for total, failed, minutes in phases],
        "server_error": [(failed, minutes) for _, failed, minutes in phases],
    }
    return {
        series("http_responses_total", endpoint=_EXPENSES["endpoint"], outcome=outcome): counter(
            *counts
        )
        for outcome, counts in found.items()
    }


def _logins(*phases: tuple[float, float, int]) -> dict[str, str]:
    """Phases of logins, of those that take more than 2.5 seconds, and their minutes."""
    buckets = {
        "2.5": [(total - slow, minutes) for total, slow, minutes in phases],
        "5.0": [(slow, minutes) for _, slow, minutes in phases],
    }
    return histogram("http_request_duration_seconds", buckets, **_LOGIN)


def fast() -> list[Case]:
    """Evaluated once a minute."""
    return [
        Case(
            _FAST,
            "1h/5m: after six good hours 10 % fail for 20 minutes",
            _answers((600, 0, 6 * _HOUR), (600, 60, 20), (600, 0, _HOUR)),
            # Nine minutes of 10 % are 1.5 % of an hour; two minutes more.
            starts="371m",
            # No failed answer in the last five minutes.
            ends="384m",
            labels=_AVAILABILITY,
            says=_EXPENSES_LINKS
            | {"summary": "availability of expenses: 1.834% of the requests break the promise"},
            values={
                f"sum(round(slo:sli_events:increase6h{_OF_EXPENSES}))": ("365m", 216000),
                f"sum(round(slo:sli_errors:increase6h{_OF_EXPENSES}))": ("385m", 1200),
                f"sum(slo:sli_errors:increase1h{_OF_EXPENSES})": ("440m", 0),
                "sum(job:http_requests:rate5m)": ("365m", 10),
                "sum(round(job:http_requests_failed:rate5m, 0.01))": ("380m", 1),
            },
            interval="1m",
        ),
        Case(
            _FAST,
            "6h/30m: after six good hours 1.2 % fail for 200 minutes",
            _answers((1000, 0, 6 * _HOUR), (1000, 12, 200), (1000, 0, _HOUR)),
            # Three hours of 1.2 % are 0.6 % of six.
            starts="547m",
            # Half of the last 30 minutes is good again.
            ends="575m",
            interval="1m",
        ),
        Case(
            _FAST,
            "latency: half of the logins are slow for 30 minutes, after six good hours",
            _logins((60, 0, 6 * _HOUR), (60, 30, 30), (60, 0, _HOUR)),
            starts="379m",
            ends="393m",
            labels={"job": JOB, "slo": "login", "sli": "latency"},
            says=_LOGIN_LINKS
            | {"summary": "latency of login: 16.1% of the requests break the promise"},
            interval="1m",
        ),
        Case(
            _FAST,
            "a burst of 10 % for eight minutes, after six good hours",
            _answers((600, 0, 6 * _HOUR), (600, 60, 8), (600, 0, _HOUR)),
            silent="420m",
            interval="1m",
        ),
        Case(
            _FAST,
            "five of five requests fail in one moment of a quiet night",
            _answers((1, 0, 5 * _HOUR), (0, 0, _HOUR), (5, 5, 1), (0, 0, 2 * _HOUR)),
            silent="480m",
            interval="1m",
        ),
        Case(
            _FAST,
            "four of the first twenty requests fail",
            _answers((0, 0, 10), (1, 1, 4), (1, 0, 16), (0, 0, _HOUR)),
            silent="80m",
            interval="1m",
        ),
    ]


def slow() -> list[Case]:
    """Evaluated once in five minutes."""
    return [
        Case(
            _SLOW,
            "1d/2h: after a busy day a quiet one, of whose answers 0.4 % fail",
            _answers((12500, 0, 24 * _HOUR), (1250, 5, 26 * _HOUR), (1250, 0, 3 * _HOUR)),
            # The busy day weighs less and less within 24 hours; a quarter of an hour more.
            starts="2850m",
            # A quarter of the last two hours is good again.
            ends="3030m",
            labels=_AVAILABILITY,
            says=_EXPENSES_LINKS
            | {"summary": "availability of expenses: 0.3298% of the requests break the promise"},
            interval="1m",
        ),
        Case(
            _SLOW,
            "3d/6h: after a good day 0.2 % fail for 30 hours",
            _answers((1000, 0, 24 * _HOUR), (1000, 2, 30 * _HOUR), (1000, 0, 4 * _HOUR)),
            # As long as it was good, and a quarter of an hour more.
            starts="2900m",
            # Half of the last six hours is good again.
            ends="3420m",
            values={f"sum(round(slo:sli_errors:increase1d{_OF_EXPENSES}))": ("2900m", 2880)},
            interval="1m",
        ),
        Case(
            _SLOW,
            "0.09 % fail for ten hours",
            _answers((10000, 9, 10 * _HOUR)),
            silent="600m",
            interval="1m",
        ),
        Case(
            _SLOW,
            "five of five requests fail in one moment of a quiet night",
            _answers((1, 0, 6 * _HOUR), (0, 0, _HOUR), (5, 5, 1), (0, 0, 20 * _HOUR)),
            silent="1600m",
            interval="1m",
        ),
        Case(
            _SLOW,
            "four of the first hundred requests fail",
            _answers((0, 0, 10), (1, 1, 4), (1, 0, 96), (0, 0, _HOUR)),
            silent="160m",
            interval="1m",
        ),
    ]
