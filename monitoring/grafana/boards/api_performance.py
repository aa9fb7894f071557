"""Is the API quick, and which endpoint is not?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.boards.common import board, error_share, quantile, rate
from monitoring.grafana.panels import graph, number, query

_CHOSEN = 'SELECTOR, endpoint=~"$endpoint"'
_CALLS = "http_client_responses_total{SELECTOR"
_BAD_OUTCOMES = ', outcome=~"server_error|error|timeout"'
_SECONDS = "http_request_duration_seconds"


def make() -> dashboard.Dashboard:
    slow = THRESHOLDS["HighResponseTime"].above
    endpoint_slow = THRESHOLDS["EndpointSlow"].above
    failing, waiting = THRESHOLDS["UpstreamFailing"].above, THRESHOLDS["UpstreamSlow"].above
    return board(
        "api-performance",
        "API Performance Overview",
        "Is the API quick, and which endpoint is not?",
        [
            number(
                "95th percentile",
                f"One request in twenty takes longer. HighResponseTime is about more than "
                f"{slow:g} s.",
                "s",
                quantile(0.95, _SECONDS, selector=_CHOSEN),
                warning=slow / 2,
                critical=slow,
            ),
            number(
                "Requests a second",
                "Answers of all kinds, health checks and scrapes left out.",
                "reqps",
                f"sum(rate(http_responses_total{{{_CHOSEN}}}[$__rate_interval]))",
            ),
            error_share(_CHOSEN),
            number(
                "In progress",
                "Requests being answered now, to all endpoints.",
                "short",
                "sum(http_requests_in_progress{SELECTOR})",
            ),
            graph(
                "Response time",
                "Percentiles over the chosen endpoints. A dot is a request: it leads to its trace.",
                "s",
                [
                    query(
                        quantile(share, _SECONDS, selector=_CHOSEN), name, exemplars=share == 0.95
                    )
                    for share, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
                ],
                critical=slow,
            ),
            graph(
                "Requests by status",
                "Answers a second; 499 is a client that went away.",
                "reqps",
                [query(rate("http_requests_total", "status", _CHOSEN), "{{status}}")],
            ),
            graph(
                "95th percentile by endpoint",
                f"Where the time goes. EndpointSlow is about more than {endpoint_slow:g} s.",
                "s",
                [
                    query(
                        quantile(0.95, _SECONDS, "method, endpoint", _CHOSEN),
                        "{{method}} {{endpoint}}",
                        exemplars=True,
                    )
                ],
                critical=endpoint_slow,
            ),
            graph(
                "Requests by endpoint",
                "Answers a second.",
                "reqps",
                [
                    query(
                        rate("http_requests_total", "method, endpoint", _CHOSEN),
                        "{{method}} {{endpoint}}",
                    )
                ],
            ),
            graph(
                "Outgoing calls",
                "Time of calls to other services, 95th percentile by host. UpstreamSlow is about "
                f"more than {waiting:g} s.",
                "s",
                [query(quantile(0.95, "http_client_request_duration_seconds", "host"), "{{host}}")],
                critical=waiting,
            ),
            graph(
                "Share of failed outgoing calls",
                "No answer, none in time, or a 5xx: of all, and by host. UpstreamFailing is about "
                f"more than {failing:.0%}.",
                "percentunit",
                [
                    query(
                        f"sum(rate({_CALLS}{_BAD_OUTCOMES}}}[$__rate_interval])) "
                        f"/ sum(rate({_CALLS}}}[$__rate_interval]))",
                        "all hosts",
                    ),
                    query(
                        "(sum by (host) (rate(http_client_requests_total{SELECTOR, "
                        'status=~"5..|error|timeout"}[$__rate_interval])) '
                        f"or 0 * {rate('http_client_requests_total', 'host')}) "
                        f"/ {rate('http_client_requests_total', 'host')}",
                        "{{host}}",
                    ),
                ],
                critical=failing,
            ),
        ],
        ["endpoint"],
    )
