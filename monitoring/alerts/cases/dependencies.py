"""Cases of the alerts about the database and the services that are called."""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, gauge, histogram, series
from monitoring.alerts.table import JOB

_JOB = {"job": JOB}
_AND_JOB = f"&var-job={JOB}"
_FAILED = "&tags=%7B%22error%22%3A%22true%22%7D"
_DEFAULT = {"database": "default"}
_HOST = {"host": "rates.example.org"}


def cases() -> list[Case]:
    return [
        *_connections(),
        *_pool(),
        *_slow_database(),
        *_repeated(),
        *_upstream_failing(),
        *_upstream_slow(),
    ]


def _tried(*phases: tuple[float, int], instance: str = "a") -> dict[str, str]:
    labels = _DEFAULT | {"instance": instance}
    return {series("database_connections_total", **labels): counter(*phases)}


def _failed(*phases: tuple[float, int], instance: str = "a") -> dict[str, str]:
    labels = _DEFAULT | {"instance": instance}
    return {series("database_connection_failures_total", **labels): counter(*phases)}


def _connections() -> list[Case]:
    name = "DatabaseConnectionErrors"
    minute = (1.0, 1), (0.0, 3)
    return [
        Case(
            name,
            "half of the attempts fail for six minutes, of one instance of two",
            _tried((20, 64))
            | _failed((0, 20), (10, 24), (0, 20))
            | _tried((20, 64), instance="b")
            | _failed((0, 64), instance="b"),
            # 10 of 140 in the first sample already.
            starts="7m15s",
            ends="12m45s",
            labels=_JOB | _DEFAULT | {"instance": "a"},
            says={
                "summary": "50% of the database connections of a fail",
                "description": "More than 5 % of the attempts to get a connection to the database "
                '"default" have failed for 2 minutes, from the server or from the pool. Users get '
                "503 where a request needs the database.",
                "dashboard_url": "database-performance?from=now-1h&to=now"
                f"{_AND_JOB}&var-instance=a",
                "traces_url": _FAILED,
            },
        ),
        Case(
            name,
            "four in a hundred fail",
            _tried((100, 60)) | _failed((4, 60)),
            silent="15m",
        ),
        Case(
            name,
            "two attempts fail in a quiet night",
            _tried((0, 20), (1, 2), (0, 58)) | _failed((0, 20), (1, 2), (0, 58)),
            silent="20m",
        ),
        Case(
            name,
            "a restart: counters begin again",
            {
                series("database_connections_total", **_DEFAULT): "0+20x20 0+20x40",
                series("database_connection_failures_total", **_DEFAULT): "900x20 0x40",
            },
            silent="15m",
        ),
        Case(
            name,
            "one attempt a minute, all failing, for twenty minutes",
            _tried((0, 20), *minute * 20, (0, 40)) | _failed((0, 20), *minute * 20, (0, 40)),
            starts="17m15s",
            ends="29m",
        ),
        Case(
            name,
            "one attempt a minute, failing for four minutes",
            _tried((0, 20), *minute * 20, (0, 40)) | _failed((0, 20), *minute * 4, (0, 104)),
            silent="30m",
        ),
        Case(
            name,
            "five attempts fail in one moment of a quiet night",
            _tried((0, 20), (5, 1), (0, 59)) | _failed((0, 20), (5, 1), (0, 59)),
            silent="20m",
        ),
        Case(
            name,
            "the first attempts of a new instance fail, and all after them",
            {
                series("up"): gauge((1, 42)),
                series("process_start_time_seconds"): "_ 5x40",
                series("database_connections_total", **_DEFAULT): "_ 4+1x40",
                series("database_connection_failures_total", **_DEFAULT): "_ 4+1x40",
            },
            starts="2m15s",
        ),
        Case(
            name,
            "the database is restarted and away for half a minute",
            _tried((20, 60)) | _failed((0, 20), (20, 2), (0, 38)),
            silent="15m",
        ),
    ]


def _pool() -> list[Case]:
    name = "ConnectionPoolExhausted"
    waiting = series("database_pool_requests_waiting", **_DEFAULT)
    return [
        Case(
            name,
            "three wait from 5m on, every other sample, for five minutes",
            {waiting: " ".join([gauge((0, 20)), *["3 0"] * 10, gauge((0, 20))])},
            # In half of the samples of two minutes, and two minutes more.
            starts="8m30s",
            ends="10m",
            labels=_JOB | _DEFAULT | {"instance": "a"},
            says={
                "summary": "3 threads of a wait for a database connection",
                "dashboard_url": "database-performance?from=now-1h&to=now"
                f"{_AND_JOB}&var-instance=a",
                "traces_url": "&minDuration=1s",
            },
        ),
        Case(
            name,
            "some wait in every third sample",
            {waiting: " ".join(["0 0 3"] * 30)},
            silent="20m",
        ),
        Case(
            name,
            "some wait for a minute",
            {waiting: gauge((0, 20), (5, 4), (0, 40))},
            silent="15m",
        ),
    ]


def _statements(*phases: tuple[int, int, int]) -> dict[str, str]:
    """Phases of quick statements, of slow ones (0.5 to 1 second), and their samples."""
    buckets = {
        "0.1": [(quick, times) for quick, _, times in phases],
        "0.5": [(0, times) for _, _, times in phases],
        "1.0": [(slow, times) for _, slow, times in phases],
    }
    labels = {"operation": "SELECT", "table": "expenses_expense"}
    return histogram("database_query_duration_seconds", buckets, **labels)


def _slow_database() -> list[Case]:
    name = "SlowDatabase"
    return [
        Case(
            name,
            "all statements take 0.5 to 1 second, for six minutes",
            _statements((40, 0, 20), (0, 10, 24), (40, 0, 40)),
            # More than 5 % of five minutes: from the fourth sample on.
            starts="11m",
            ends="15m",
            labels=_JOB,
            says={
                "summary": "One SQL statement in twenty takes more than 975ms",
                "dashboard_url": f"database-performance?from=now-1h&to=now{_AND_JOB}",
                "traces_url": "&minDuration=0.5s",
            },
        ),
        Case(name, "four in a hundred are slow", _statements((96, 4, 60)), silent="15m"),
        Case(
            name,
            "four slow statements in a quiet night",
            _statements((0, 0, 20), (0, 1, 4), (0, 0, 36)),
            silent="15m",
        ),
    ]


def _repeated() -> list[Case]:
    name = "RepeatedQueries"
    metric = series("http_repeated_queries_total", endpoint="/x/")
    return [
        Case(
            name,
            "each of four requests a minute repeats, from 5m on for ten minutes",
            {metric: counter((0, 20), (1, 40), (0, 60))},
            # The eleventh in ten minutes, and five minutes more.
            starts="12m45s",
            ends="22m30s",
            labels=_JOB | {"endpoint": "/x/"},
            says={
                "summary": "/x/ runs the same statement again and again (N+1)",
                "description": "31 times in 10 minutes a request to this endpoint ran one "
                "statement far too often, as a loop over rows without select_related does. It is "
                "slow with many rows. The log has a line with the statement and the line of code.",
                "dashboard_url": f"endpoint-detail?from=now-1h&to=now{_AND_JOB}"
                "&var-endpoint=%2Fx%2F",
                "traces_url": "&tags=%7B%22http.route%22%3A%22%2Fx%2F%22%7D",
            },
        ),
        Case(
            name,
            "nine in ten minutes",
            {metric: counter((0, 20), (1, 9), (0, 80))},
            silent="25m",
        ),
    ]


def _calls(status: str, *phases: tuple[float, int]) -> dict[str, str]:
    labels = _HOST | {"method": "GET", "status": status}
    return {series("http_client_requests_total", **labels): counter(*phases)}


def _upstream_failing() -> list[Case]:
    name = "UpstreamFailing"
    return [
        Case(
            name,
            "no call is answered for six minutes",
            _calls("200", (3, 20), (0, 24), (3, 40))
            | _calls("timeout", (0, 20), (1, 24), (0, 40))
            | _calls("error", (0, 20), (1, 24), (0, 40))
            | _calls("503", (0, 20), (1, 24), (0, 40)),
            starts="7m30s",
            # Two minutes after the last failure.
            ends="12m45s",
            labels=_JOB | _HOST,
            says={
                "summary": "51.35% of the calls to rates.example.org fail",
                "dashboard_url": f"api-performance?from=now-1h&to=now{_AND_JOB}",
                "traces_url": _FAILED,
            },
        ),
        Case(
            name,
            "one in four is answered with 404, and nine in a hundred fail",
            _calls("200", (66, 60)) | _calls("404", (25, 60)) | _calls("500", (9, 60)),
            silent="15m",
        ),
        Case(
            name,
            "the first calls that there are fail, and one now and then after them",
            {
                series("up"): gauge((1, 61)),
                series("http_client_requests_total", **_HOST, method="GET", status="error"): (
                    "_x20 " + counter(*[(0, 1), (1, 1)] * 20, start=6)
                ),
            },
            starts="7m",
        ),
        Case(
            name,
            "one call a minute, all failing, for twenty minutes",
            _calls("200", (0, 140)) | _calls("error", (0, 20), *[(1, 1), (0, 3)] * 20, (0, 40)),
            starts="17m15s",
            ends="29m",
        ),
        Case(
            name,
            "eight hosts, one call a minute to each: a third of all fail",
            {
                series("http_client_responses_total", outcome="success"): counter((16, 80)),
                series("http_client_responses_total", outcome="timeout"): counter((0, 20), (8, 60)),
            },
            starts="8m15s",
            labels=_JOB,
            says={
                "summary": "24.53% of the calls to all hosts fail",
                "dashboard_url": f"api-performance?from=now-1h&to=now{_AND_JOB}",
                "traces_url": _FAILED,
            },
        ),
        Case(
            name,
            "nine in a hundred of the calls to all hosts fail",
            {
                series("http_client_responses_total", outcome="success"): counter((91, 80)),
                series("http_client_responses_total", outcome="error"): counter((9, 80)),
            },
            silent="15m",
        ),
        Case(
            name,
            "five calls fail in one moment of a quiet night",
            _calls("200", (0, 60)) | _calls("error", (0, 20), (5, 1), (0, 39)),
            silent="15m",
        ),
        Case(
            name,
            "four calls fail in a quiet night",
            _calls("200", (0, 60)) | _calls("error", (0, 20), (1, 4), (0, 36)),
            silent="15m",
        ),
    ]


def _call_durations(*phases: tuple[int, int, int]) -> dict[str, str]:
    """Phases of quick calls, of slow ones (2.5 to 5 seconds), and their number of samples."""
    buckets = {
        "0.5": [(quick, times) for quick, _, times in phases],
        "2.5": [(0, times) for _, _, times in phases],
        "5.0": [(slow, times) for _, slow, times in phases],
    }
    metric = "http_client_request_duration_seconds"
    return histogram(metric, buckets, **_HOST, method="GET")


def _upstream_slow() -> list[Case]:
    name = "UpstreamSlow"
    return [
        Case(
            name,
            "all calls take 2.5 to 5 seconds, for six minutes",
            _call_durations((3, 0, 20), (0, 3, 24), (3, 0, 40)),
            starts="10m30s",
            ends="15m30s",
            labels=_JOB | _HOST,
            says={
                "summary": "One call in twenty to rates.example.org takes more than 4.875s",
                "dashboard_url": f"api-performance?from=now-1h&to=now{_AND_JOB}",
                "traces_url": "&tags=%7B%22server.address%22%3A%22rates.example.org%22%7D"
                "&minDuration=2.5s",
            },
        ),
        Case(name, "four in a hundred are slow", _call_durations((96, 4, 60)), silent="15m"),
        Case(
            name,
            "four slow calls in a quiet night",
            _call_durations((0, 0, 20), (0, 1, 4), (0, 0, 36)),
            silent="15m",
        ),
    ]
