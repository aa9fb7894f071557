"""What fails, where, and since when?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, error_share, rate
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    return board(
        "error-tracking",
        "Error Tracking",
        "What fails, where, and since when?",
        [
            error_share(),
            number(
                "Errors in the last hour",
                "5xx answers and exceptions nobody caught.",
                "short",
                "sum(increase(errors_total{SELECTOR}[1h])) or vector(0)",
                warning=1,
            ),
            number(
                "Database errors in the last hour",
                "Statements that failed.",
                "short",
                "sum(increase(database_errors_total{SELECTOR}[1h])) or vector(0)",
                warning=1,
            ),
            number(
                "Clients that went away",
                "Requests whose client did not wait, in the last hour.",
                "short",
                'sum(increase(http_requests_total{SELECTOR, status="499"}[1h])) or vector(0)',
            ),
            graph(
                "Errors by exception",
                "The exception's class, or http_5xx where an answer was a 5xx without one.",
                "ops",
                [query(rate("errors_total", "type"), "{{type}}")],
            ),
            graph(
                "Errors by endpoint",
                "none is work outside requests.",
                "ops",
                [query(rate("errors_total", "endpoint"), "{{endpoint}}")],
            ),
            graph(
                "Share of failed requests by endpoint",
                "5xx answers over all answers.",
                "percentunit",
                [
                    query(
                        'sum by (endpoint) (rate(http_requests_total{SELECTOR, status=~"5.."}'
                        "[$__rate_interval])) / sum by (endpoint) "
                        "(rate(http_requests_total{SELECTOR}[$__rate_interval]))",
                        "{{endpoint}}",
                    )
                ],
                critical=0.1,
            ),
            graph(
                "Client errors",
                "4xx answers a second: mistakes of callers, or of a release that broke them.",
                "reqps",
                [
                    query(
                        "sum by (endpoint, status) "
                        '(rate(http_requests_total{SELECTOR, status=~"4.."}[$__rate_interval]))',
                        "{{status}} {{endpoint}}",
                    )
                ],
            ),
        ],
    )
