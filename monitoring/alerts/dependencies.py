"""Alerts about what the service depends on: its database, and the services that it calls."""

from __future__ import annotations

from monitoring.alerts.alert import FAILED, Alert
from monitoring.alerts.counts import again_and_again, grown, growth, share
from monitoring.alerts.recording import Rule, record
from monitoring.alerts.service import slow
from monitoring.alerts.table import JOB, THRESHOLDS
from monitoring.alerts.words import COUNT, bound, percent, seconds

_SERVICE = f'job="{JOB}"'


_CONNECTIONS = f"database_connections_total{{{_SERVICE}}}"
_CONNECTIONS_FAILED = f"database_connection_failures_total{{{_SERVICE}}}"
_DATABASE = "job_instance_database:database_connection{kind}:increase{window}"
_CALLS = f"http_client_requests_total{{{_SERVICE}}}"
_CALLS_FAILED = f'http_client_requests_total{{{_SERVICE}, status=~"5..|error|timeout"}}'
_SHORT = THRESHOLDS["DatabaseConnectionErrors"].window
_LONG, _LATELY = THRESHOLDS["UpstreamFailing"].window, THRESHOLDS["UpstreamFailing"].hold
_HOST = "job_host:http_client_requests{kind}:increase{window}"
_ALL_CALLS = f"http_client_responses_total{{{_SERVICE}}}"
_ALL_CALLS_FAILED = (
    f'http_client_responses_total{{{_SERVICE}, outcome=~"server_error|error|timeout"}}'
)


def records() -> list[Rule]:
    """What the alerts below are made of, counted right before them."""
    level = "job, instance, database"
    failed = "_failed", _CALLS_FAILED
    calls = (("", _CALLS, _LONG), (*failed, _LONG), (*failed, _LATELY))
    return [
        record(
            _DATABASE.format(kind="_failures", window=_SHORT),
            grown(_CONNECTIONS_FAILED, level, _SHORT),
        ),
        record(
            # Only where there are any, see again_and_again().
            _DATABASE.format(kind="_failures", window="5m"),
            f"{growth(_CONNECTIONS_FAILED, level, '5m')} > 0",
        ),
        *(
            record(
                _HOST.format(kind=kind, window=window),
                f"{grown(selector, 'job, host', window)}{' > 0' if kind else ''}",
            )
            for kind, selector, window in calls
        ),
    ]


def alerts() -> list[Alert]:
    return [
        _connections(),
        _pool(),
        _slow_database(),
        _repeated(),
        _upstream_failing(),
        _upstream_slow(),
    ]


def _connections() -> Alert:
    limit = THRESHOLDS["DatabaseConnectionErrors"]
    level = "job, instance, database"
    failed, lately = (_DATABASE.format(kind="_failures", window=each) for each in (_SHORT, "5m"))
    often = share(failed, grown(_CONNECTIONS, level, _SHORT), limit.above, limit.least)
    seldom = again_and_again(lately, growth(_CONNECTIONS, level, "15m"), limit.above)
    return Alert(
        "DatabaseConnectionErrors",
        "critical",
        f"{often} or {seldom}",
        "{{ $value | humanizePercentage }} of the database connections of "
        "{{ $labels.instance }} fail",
        f"""More than {percent(limit.above)} of the attempts to get a connection to the database
        "{{{{ $labels.database }}}}" have failed for {bound(limit.hold)}, from the server or from
        the pool. Users get 503 where a request needs the database.""",
        "database-performance",
        ("job", "instance"),
        FAILED,
    )


def _pool() -> Alert:
    limit = THRESHOLDS["ConnectionPoolExhausted"]
    return Alert(
        "ConnectionPoolExhausted",
        "warning",
        # Those who wait may all be gone at the moment of one scrape, and one may wait by chance:
        # somebody does in more than half of the scrapes.
        f"""max_over_time(database_pool_requests_waiting{{{_SERVICE}}}[{limit.window}])
        > {limit.above:g}
        and quantile_over_time(0.5, database_pool_requests_waiting{{{_SERVICE}}}[{limit.window}])
        > {limit.above:g}""",
        f"{COUNT} threads of {{{{ $labels.instance }}}} wait for a database connection",
        f"""Requests have been waiting for a connection of the pool for {bound(limit.hold)}: all
        are in use. Either statements take long, or code holds connections and does not give them
        back. After three seconds of waiting a request gets 503.""",
        "database-performance",
        ("job", "instance"),
        {"minDuration": "1s"},
    )


def _slow_database() -> Alert:
    limit = THRESHOLDS["SlowDatabase"]
    return Alert(
        "SlowDatabase",
        "warning",
        slow(
            "database_query_duration_seconds",
            "job",
            _SERVICE,
            limit,
        ),
        "One SQL statement in twenty takes more than {{ $value | humanizeDuration }}",
        f"""The 95th percentile of statements has been above {seconds(limit.above)} for
        {bound(limit.hold)}. Which table: the dashboard Database Performance. All tables at once:
        the server or the network; one table: a missing index, a lock, or a new statement.""",
        "database-performance",
        traces={"minDuration": f"{limit.above:g}s"},
    )


def _repeated() -> Alert:
    limit = THRESHOLDS["RepeatedQueries"]
    return Alert(
        "RepeatedQueries",
        "warning",
        f"""sum by (job, endpoint)
        (increase(http_repeated_queries_total{{{_SERVICE}}}[{limit.window}])) > {limit.above:g}""",
        "{{ $labels.endpoint }} runs the same statement again and again (N+1)",
        f"""{COUNT} times in {bound(limit.window)} a request to this endpoint
        ran one statement far too often, as a loop over rows without select_related does. It is slow
        with many rows. The log has a line with the statement and the line of code.""",
        "endpoint-detail",
        ("job", "endpoint"),
        {"tags": '{"http.route":"{endpoint}"}'},
    )


def _upstream_failing() -> Alert:
    limit = THRESHOLDS["UpstreamFailing"]
    calls, failed, lately = (
        _HOST.format(kind=kind, window=window)
        for kind, window in (("", _LONG), ("_failed", _LONG), ("_failed", _LATELY))
    )
    often = share(failed, calls, limit.above, limit.least)
    seldom = again_and_again(failed, growth(_CALLS, "job, host", "15m"), limit.above)
    # Many hosts, each called seldom: all of them together.
    together = share(
        growth(_ALL_CALLS_FAILED, "job", _LONG),
        growth(_ALL_CALLS, "job", _LONG),
        limit.above,
        limit.least,
    )
    now = growth(_ALL_CALLS_FAILED, "job", _LATELY)
    return Alert(
        "UpstreamFailing",
        "warning",
        f"""({often} and {lately} > 0 or {seldom})
        or on (job) ({together} and {now} > 0)""",
        "{{ $value | humanizePercentage }} of the calls to "
        "{{ with $labels.host }}{{ . }}{{ else }}all hosts{{ end }} fail",
        f"""More than {percent(limit.above)} of our calls to this host (without a host in its
        labels: to all hosts) have failed for {bound(limit.hold)}: no answer, none in time, or a
        5xx. What depends on it fails or waits.""",
        "api-performance",
        traces=FAILED,
    )


def _upstream_slow() -> Alert:
    limit = THRESHOLDS["UpstreamSlow"]
    return Alert(
        "UpstreamSlow",
        "warning",
        slow(
            "http_client_request_duration_seconds",
            "job, host",
            _SERVICE,
            limit,
        ),
        "One call in twenty to {{ $labels.host }} takes more than {{ $value | humanizeDuration }}",
        f"""The 95th percentile of our calls to this host has been above {seconds(limit.above)} for
        {bound(limit.hold)}. Each such call holds a thread of ours: with many of them all
        requests get slow.""",
        "api-performance",
        traces={"tags": '{"server.address":"{host}"}', "minDuration": f"{limit.above:g}s"},
    )
