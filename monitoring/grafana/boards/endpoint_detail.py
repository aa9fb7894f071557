"""What does one endpoint do: how quickly, how often, how well, with which SQL?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.boards.common import board, rate, repeated
from monitoring.grafana.panels import graph, heat, number, query

_SELECTOR = 'SELECTOR, endpoint="$endpoint"'
_ANSWERS = f"http_responses_total{{{_SELECTOR}}}[$__rate_interval]"
_VALID = f'http_responses_total{{{_SELECTOR}, outcome!="client_error"}}[$__rate_interval]'
_FAILED = f'http_responses_total{{{_SELECTOR}, outcome="server_error"}}[$__rate_interval]'
#: Counted in the same series, by method and endpoint, from the same request on as the statements
#: and the seconds that are divided by it. ``http_requests_total`` begins anew with each status.
_TIMED = "http_request_duration_seconds_count"
_METHOD_STATUS = "{{method}} {{status}}"
_BROKEN, _SOUND = f'{_SELECTOR}, status=~"5.."', f'{_SELECTOR}, status!~"4.."'
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
            number("Requests a second", "Answers of all kinds.", "reqps", f"sum(rate({_ANSWERS}))"),
            number(
                "Share of 5xx answers",
                f"4xx left out. EndpointFailing is about more than {failing:.0%}.",
                "percentunit",
                f"sum(rate({_FAILED})) / sum(rate({_VALID}))",
                warning=failing / 10,
                critical=failing,
            ),
            number(
                "Repeated queries in the last hour",
                "Requests that ran one statement far too often (N+1); the log has the line of "
                "code.",
                "short",
                f"sum(increase(http_repeated_queries_total{{{_SELECTOR}}}[1h]))",
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
                [query(rate("http_requests_total", "method, status", _SELECTOR), _METHOD_STATUS)],
            ),
            graph(
                "Errors by exception",
                "5xx answers; and by the exception's class, or http_5xx where there was none.",
                "ops",
                [
                    query(f"sum(rate({_FAILED}))", "5xx"),
                    query(
                        f"sum by (type) (rate(errors_total{{{_SELECTOR}}}[$__rate_interval]))",
                        "{{type}}",
                    ),
                ],
            ),
            graph(
                "Statements of a request",
                "SQL statements that a request runs, on average. A step is a release that asks the "
                "database more often.",
                "short",
                [
                    query(
                        f"{_each('http_request_database_queries_total')} / {_each(_TIMED)}",
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
                        f"{_each('http_request_duration_seconds_sum')} / {_each(_TIMED)}",
                        "{{method}} altogether",
                    ),
                    query(
                        f"{_each('http_request_database_seconds_total')} / {_each(_TIMED)}",
                        "{{method}} SQL",
                    ),
                ],
                critical=slow,
            ),
            graph(
                "Share of 5xx answers over time",
                f"4xx left out. EndpointFailing is about more than {failing:.0%}, by method.",
                "percentunit",
                [
                    query(f"sum(rate({_FAILED})) / sum(rate({_VALID}))", "all methods"),
                    query(
                        f"{rate('http_requests_total', 'method', _BROKEN)} "
                        f"/ {rate('http_requests_total', 'method', _SOUND)}",
                        "{{method}}",
                    ),
                ],
                critical=failing,
            ),
            repeated(_SELECTOR),
        ],
        ["endpoint"],
        one="endpoint",
    )
