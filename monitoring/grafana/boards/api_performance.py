"""Is the API quick, and which endpoint is not?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, error_share, quantile, rate
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    seconds = "http_request_duration_seconds"
    return board(
        "api-performance",
        "API Performance Overview",
        "Is the API quick, and which endpoint is not?",
        [
            number(
                "95th percentile",
                "One request in twenty takes longer. HighResponseTime is about more than 1 s.",
                "s",
                quantile(0.95, seconds),
                warning=0.5,
                critical=1,
            ),
            number(
                "Requests a second",
                "Answers of all kinds, health checks and scrapes left out.",
                "reqps",
                "sum(rate(http_requests_total{SELECTOR}[$__rate_interval]))",
            ),
            error_share(),
            number(
                "In progress",
                "Requests being answered now.",
                "short",
                "sum(http_requests_in_progress{SELECTOR})",
            ),
            graph(
                "Response time",
                "Percentiles over all endpoints. A dot is a request: it leads to its trace.",
                "s",
                [
                    query(quantile(share, seconds), name, exemplars=share == 0.95)
                    for share, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
                ],
                critical=1,
            ),
            graph(
                "Requests by status",
                "Answers a second; 499 is a client that went away.",
                "reqps",
                [query(rate("http_requests_total", "status"), "{{status}}")],
            ),
            graph(
                "95th percentile by endpoint",
                "Where the time goes.",
                "s",
                [
                    query(
                        quantile(0.95, seconds, "method, endpoint"),
                        "{{method}} {{endpoint}}",
                        exemplars=True,
                    )
                ],
                critical=1,
            ),
            graph(
                "Requests by endpoint",
                "Answers a second.",
                "reqps",
                [query(rate("http_requests_total", "method, endpoint"), "{{method}} {{endpoint}}")],
            ),
            graph(
                "Outgoing calls",
                "Time of calls to other services, 95th percentile by host.",
                "s",
                [query(quantile(0.95, "http_client_request_duration_seconds", "host"), "{{host}}")],
            ),
        ],
    )
