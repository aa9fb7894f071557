"""What fails, where, and since when?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.boards.common import board, error_share, rate
from monitoring.grafana.panels import graph, number, query

_CHOSEN = 'SELECTOR, endpoint=~"$endpoint"'
_FAILED = f'{_CHOSEN}, status=~"5.."'


def make() -> dashboard.Dashboard:
    failing = THRESHOLDS["EndpointFailing"].above
    return board(
        "error-tracking",
        "Error Tracking",
        "What fails, where, and since when?",
        [
            error_share(_CHOSEN),
            number(
                "Errors in the last hour",
                "5xx answers and exceptions nobody caught.",
                "short",
                f"sum(increase(errors_total{{{_CHOSEN}}}[1h])) or vector(0)",
                warning=1,
            ),
            number(
                "Database errors in the last hour",
                "Statements that failed, of all endpoints.",
                "short",
                "sum(increase(database_errors_total{SELECTOR}[1h])) or vector(0)",
                warning=1,
            ),
            number(
                "Clients that went away",
                "Requests whose client did not wait, in the last hour.",
                "short",
                f'sum(increase(http_requests_total{{{_CHOSEN}, status="499"}}[1h])) or vector(0)',
            ),
            graph(
                "Errors by exception",
                "The exception's class, or http_5xx where an answer was a 5xx without one. No data "
                "is good news.",
                "ops",
                [query(rate("errors_total", "type", _CHOSEN), "{{type}}")],
            ),
            graph(
                "Errors by endpoint",
                "none is work outside requests.",
                "ops",
                [query(rate("errors_total", "endpoint", _CHOSEN), "{{endpoint}}")],
            ),
            graph(
                "Share of failed requests by endpoint",
                f"5xx answers over all answers. EndpointFailing is about more than {failing:.0%}.",
                "percentunit",
                [
                    query(
                        f"{rate('http_requests_total', 'endpoint', _FAILED)} "
                        f"/ {rate('http_requests_total', 'endpoint', _CHOSEN)}",
                        "{{endpoint}}",
                    )
                ],
                critical=failing,
            ),
            graph(
                "Client errors",
                "4xx answers a second: mistakes of callers, or of a release that broke them.",
                "reqps",
                [
                    query(
                        rate(
                            "http_requests_total",
                            "endpoint, status",
                            f'{_CHOSEN}, status=~"4.."',
                        ),
                        "{{status}} {{endpoint}}",
                    )
                ],
            ),
        ],
        ["endpoint"],
    )
