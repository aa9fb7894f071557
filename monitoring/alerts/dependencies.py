"""Alerts about what the service depends on: its database, and the services that it calls."""

from __future__ import annotations

from monitoring.alerts.alert import FAILED, Alert
from monitoring.alerts.service import slow
from monitoring.alerts.table import JOB, THRESHOLDS
from monitoring.alerts.words import COUNT, bound, percent, seconds

_SERVICE = f'job="{JOB}"'


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
    level = "sum by (job, instance, database)"
    failed = f"{level} (increase(database_connection_errors_total{{{_SERVICE}}}[{limit.window}]))"
    tried = f"{level} (increase(database_connections_total{{{_SERVICE}}}[{limit.window}]))"
    return Alert(
        "DatabaseConnectionErrors",
        "critical",
        f"{failed} / {tried} > {limit.above} and {failed} > {limit.least}",
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
        # Those who wait may all be gone at the moment of one scrape: the minute's maximum.
        f"""max_over_time(database_pool_requests_waiting{{{_SERVICE}}}[{limit.window}])
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
    level = "sum by (job, host)"
    total = f"{level} (increase(http_client_requests_total{{{_SERVICE}}}[{limit.window}]))"
    failed = (
        f'{level} (increase(http_client_requests_total{{{_SERVICE}, status=~"5..|error|timeout"}}'
        f"[{limit.window}]))"
    )
    return Alert(
        "UpstreamFailing",
        "warning",
        f"{failed} / {total} > {limit.above} and {failed} > {limit.least}",
        "{{ $value | humanizePercentage }} of the calls to {{ $labels.host }} fail",
        f"""More than {percent(limit.above)} of our calls to this host have failed for
        {bound(limit.hold)}: no answer, none in time, or a 5xx. What depends on it fails or waits.
        """,
        "api-performance",
        traces={"tags": '{"error":"true","server.address":"{host}"}'},
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
