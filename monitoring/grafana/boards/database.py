"""Is the database quick, and can everybody get a connection?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.boards.common import board, quantile, rate, repeated
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    seconds = "database_query_duration_seconds"
    connections = "database_connections_total{SELECTOR}[$__rate_interval]"
    failed = "database_connection_failures_total{SELECTOR}[$__rate_interval]"
    slow = THRESHOLDS["SlowDatabase"].above
    failing = THRESHOLDS["DatabaseConnectionErrors"].above
    return board(
        "database-performance",
        "Database Performance",
        "Is the database quick, and can everybody get a connection?",
        [
            number(
                "95th percentile of statements",
                "One statement in twenty takes longer. SlowDatabase is about more than "
                f"{slow:g} s.",
                "s",
                quantile(0.95, seconds),
                warning=slow / 10,
                critical=slow,
            ),
            number(
                "Statements a second",
                "SQL statements of all kinds.",
                "ops",
                "sum(rate(database_queries_total{SELECTOR}[$__rate_interval]))",
            ),
            number(
                "Share of failed connections",
                f"DatabaseConnectionErrors is about more than {failing:.0%}.",
                "percentunit",
                f"sum(rate({failed})) / sum(rate({connections}))",
                warning=failing / 5,
                critical=failing,
            ),
            number(
                "Waiting for a connection",
                "Threads that wait because the pool has none to give. ConnectionPoolExhausted is "
                "somebody in more than half of the scrapes of two minutes.",
                "short",
                "sum(database_pool_requests_waiting{SELECTOR})",
                warning=1,
            ),
            graph(
                "Statement time by table",
                "95th percentile. A dot is a statement: it leads to its trace.",
                "s",
                [
                    query(
                        quantile(0.95, seconds, "operation, table"),
                        "{{operation}} {{table}}",
                        exemplars=True,
                    )
                ],
                critical=slow,
            ),
            graph(
                "Statements by table",
                "Statements a second.",
                "ops",
                [
                    query(
                        rate("database_queries_total", "operation, table"),
                        "{{operation}} {{table}}",
                    )
                ],
            ),
            graph(
                "Pool",
                "Connections in use and idle over all workers, and how many there may be.",
                "short",
                [
                    query("sum by (state) (database_pool_connections{SELECTOR})", "{{state}}"),
                    query("sum(database_pool_max_connections{SELECTOR})", "maximum"),
                    query("sum(database_pool_requests_waiting{SELECTOR})", "waiting"),
                ],
            ),
            graph(
                "Time to get a connection",
                "From the pool or the server, failed attempts too. A dot leads to the trace of its "
                "request.",
                "s",
                [
                    query(
                        quantile(share, "database_connection_duration_seconds"),
                        name,
                        exemplars=share == 0.95,
                    )
                    for share, name in ((0.5, "median"), (0.95, "95th"))
                ],
            ),
            graph(
                "Errors",
                "Failed statements and connections a second; and by the driver's exception.",
                "ops",
                [
                    query(
                        "sum(rate(database_query_failures_total{SELECTOR}[$__rate_interval]))",
                        "statements",
                    ),
                    query(f"sum(rate({failed}))", "connections"),
                    query(rate("database_errors_total", "type"), "statement {{type}}"),
                    query(rate("database_connection_errors_total", "type"), "connection {{type}}"),
                ],
            ),
            graph(
                "Database time by endpoint",
                "Seconds of statements in each second: which endpoint makes the database work.",
                "s",
                [
                    query(
                        rate("http_request_database_seconds_total", "method, endpoint"),
                        "{{method}} {{endpoint}}",
                    )
                ],
            ),
            repeated(),
        ],
    )
