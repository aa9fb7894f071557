"""Is the database quick, and can everybody get a connection?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, quantile, rate
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    seconds = "database_query_duration_seconds"
    connections = "database_connections_total{SELECTOR}[$__rate_interval]"
    errors = "database_connection_errors_total{SELECTOR}[$__rate_interval]"
    return board(
        "database-performance",
        "Database Performance",
        "Is the database quick, and can everybody get a connection?",
        [
            number(
                "95th percentile of statements",
                "One statement in twenty takes longer.",
                "s",
                quantile(0.95, seconds),
                warning=0.05,
                critical=0.5,
            ),
            number(
                "Statements a second",
                "SQL statements of all kinds.",
                "ops",
                "sum(rate(database_queries_total{SELECTOR}[$__rate_interval]))",
            ),
            number(
                "Share of failed connections",
                "DatabaseConnectionErrors is about more than 5 %.",
                "percentunit",
                f"sum(rate({errors})) / sum(rate({connections}))",
                warning=0.01,
                critical=0.05,
            ),
            number(
                "Waiting for a connection",
                "Threads that wait because the pool has none to give.",
                "short",
                "sum(database_pool_requests_waiting{SELECTOR})",
                warning=1,
                critical=5,
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
                critical=0.5,
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
                "Errors",
                "Failed statements and connections a second, by the driver's exception.",
                "ops",
                [
                    query(rate("database_errors_total", "type"), "statement {{type}}"),
                    query(rate("database_connection_errors_total", "type"), "connection {{type}}"),
                ],
            ),
            graph(
                "Repeated queries (N+1)",
                "Statement shapes that ran too often within one request, by endpoint.",
                "ops",
                [query(rate("http_repeated_queries_total", "endpoint"), "{{endpoint}}")],
            ),
        ],
    )
