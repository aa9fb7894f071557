"""What does one endpoint do: how quickly, how often, how well, with which SQL?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.boards.common import board, rate, repeated
from monitoring.grafana.panels import graph, heat, number, query

_SELECTOR = 'SELECTOR, endpoint="$endpoint"'
_REQUESTS = f"http_requests_total{{{_SELECTOR}}}[$__rate_interval]"
_FAILED = f'http_requests_total{{{_SELECTOR}, status=~"5.."}}[$__rate_interval]'
_BUCKETS = f"http_request_duration_seconds_bucket{{{_SELECTOR}}}[$__rate_interval]"


def _percentile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_BUCKETS})))"


def _each(metric: str) -> str:
    return rate(metric, "method", _SELECTOR)


def make() -> dashboard.Dashboard:
    slow, failing = THRESHOLDS["EndpointSlow"].above, THRESHOLDS["EndpointFailing"].above
    return board(
        "endpoint-detail",
        "Endpoint Detail",
        "What does the chosen endpoint do: how quickly, how often, how well, with which SQL?",
        [
            number(
                "95th percentile",
                f"One request in twenty takes longer. EndpointSlow is about more than {slow:g} s.",
                "s",
                _percentile(0.95),
                warning=slow / 2,
                critical=slow,
            ),
            number(
                "Requests a second", "Answers of all kinds.", "reqps", f"sum(rate({_REQUESTS}))"
            ),
            number(
                "Share of 5xx answers",
                f"EndpointFailing is about more than {failing:.0%}.",
                "percentunit",
                f"sum(rate({_FAILED})) / sum(rate({_REQUESTS}))",
                warning=failing / 10,
                critical=failing,
            ),
            number(
                "Repeated queries in the last hour",
                "Requests that ran one statement far too often (N+1); the log has the line of "
                "code.",
                "short",
                f"sum(increase(http_repeated_queries_total{{{_SELECTOR}}}[1h])) or vector(0)",
                warning=1,
            ),
            heat(
                "Durations",
                "Each column is a moment, each row a bucket of the histogram. A dot is a request: "
                "it leads to its trace, which shows its SQL statements.",
                "s",
                query(f"sum by (le) (increase({_BUCKETS}))", "{{le}}", exemplars=True),
            ),
            graph(
                "Response time",
                "Percentiles. A dot is a request: it leads to its trace.",
                "s",
                [
                    query(_percentile(share), name, exemplars=share == 0.95)
                    for share, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
                ],
                critical=slow,
            ),
            graph(
                "Answers by method and status",
                "499 is a client that went away.",
                "reqps",
                [query(f"sum by (method, status) (rate({_REQUESTS}))", "{{method}} {{status}}")],
            ),
            graph(
                "Errors by exception",
                "The exception's class, or http_5xx where an answer was a 5xx without one. No data "
                "is good news.",
                "ops",
                [
                    query(
                        f"sum by (type) (rate(errors_total{{{_SELECTOR}}}[$__rate_interval]))",
                        "{{type}}",
                    )
                ],
            ),
            graph(
                "Statements of a request",
                "SQL statements that a request runs, on average. A step is a release that asks the "
                "database more often.",
                "short",
                [
                    query(
                        f"{_each('http_request_database_queries_total')} "
                        f"/ {_each('http_requests_total')}",
                        "{{method}}",
                    )
                ],
            ),
            graph(
                "Time of a request",
                "On average, and how much of it is SQL.",
                "s",
                [
                    query(
                        f"{_each('http_request_duration_seconds_sum')} "
                        f"/ {_each('http_request_duration_seconds_count')}",
                        "{{method}} altogether",
                    ),
                    query(
                        f"{_each('http_request_database_seconds_total')} "
                        f"/ {_each('http_requests_total')}",
                        "{{method}} SQL",
                    ),
                ],
                critical=slow,
            ),
            graph(
                "Share of 5xx answers over time",
                f"EndpointFailing is about more than {failing:.0%}.",
                "percentunit",
                [
                    query(
                        f"sum by (method) (rate({_FAILED})) / {_each('http_requests_total')}",
                        "{{method}}",
                    )
                ],
                critical=failing,
            ),
            repeated(_SELECTOR),
        ],
        ["endpoint"],
        one="endpoint",
    )
