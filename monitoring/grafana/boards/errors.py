"""What fails, where, and since when?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import THRESHOLDS
from monitoring.grafana.boards.common import board, error_share, rate
from monitoring.grafana.panels import graph, number, query

_CHOSEN = 'SELECTOR, endpoint=~"$endpoint"'
_FAILED = f'{_CHOSEN}, outcome="server_error"'
_VALID = f'{_CHOSEN}, outcome!="client_error"'
_NO_STATIC = 'endpoint!="static", '
_NOT_404 = 'SELECTOR, status!="404"'


def make() -> dashboard.Dashboard:
    failing = THRESHOLDS["EndpointFailing"].above
    instance = THRESHOLDS["InstanceFailing"].above
    refused = THRESHOLDS["RequestsRefused"].above
    return board(
        "error-tracking",
        "Error Tracking",
        "What fails, where, and since when?",
        [
            error_share(_CHOSEN),
            number(
                "Errors in the last hour",
                "5xx answers, and exceptions outside requests that nobody caught.",
                "short",
                f"sum(increase(http_responses_total{{{_FAILED}}}[1h])) "
                "+ sum(increase(background_errors_total{SELECTOR}[1h]))",
                warning=1,
            ),
            number(
                "Database errors in the last hour",
                "Statements that failed, of all endpoints.",
                "short",
                "sum(increase(database_query_failures_total{SELECTOR}[1h]))",
                warning=1,
            ),
            number(
                "Clients that went away",
                "Requests whose client did not wait, of all endpoints, in the last hour.",
                "short",
                'sum(increase(http_error_responses_total{SELECTOR, status="499"}[1h]))',
            ),
            graph(
                "Errors by exception",
                "5xx answers; and by the exception's class, or http_5xx where there was none.",
                "ops",
                [
                    query(f"sum(rate(http_responses_total{{{_FAILED}}}[$__rate_interval]))", "5xx"),
                    query(rate("errors_total", "type", _CHOSEN), "{{type}}"),
                ],
            ),
            graph(
                "Errors by endpoint",
                "5xx answers, where there are any; and exceptions outside requests.",
                "ops",
                [
                    query(
                        rate("http_responses_total", "endpoint", _FAILED) + " > 0", "{{endpoint}}"
                    ),
                    query(
                        "sum(rate(background_errors_total{SELECTOR}[$__rate_interval]))",
                        "outside requests",
                    ),
                ],
            ),
            graph(
                "Share of failed requests by endpoint",
                "5xx answers over all but 4xx, where there are any. EndpointFailing is about more "
                f"than {failing:.0%}.",
                "percentunit",
                [
                    query(
                        f"{rate('http_responses_total', 'endpoint', _FAILED)} "
                        f"/ {rate('http_responses_total', 'endpoint', _VALID)} > 0",
                        "{{endpoint}}",
                    )
                ],
                critical=failing,
            ),
            graph(
                "Share of failed requests by instance",
                "5xx answers over all but 4xx, static files left out. InstanceFailing is about one "
                f"with more than {instance:.0%}, and far more than the others.",
                "percentunit",
                [
                    query(
                        f"{rate('http_responses_total', 'instance', _NO_STATIC + _FAILED)} "
                        f"/ {rate('http_responses_total', 'instance', _NO_STATIC + _VALID)}",
                        "{{instance}}",
                    )
                ],
                critical=instance,
            ),
            graph(
                "Share of one error status",
                "Of all answers but 404, static files left out. RequestsRefused is about a 4xx "
                f"that is more than {refused:.0%} of them.",
                "percentunit",
                [
                    query(
                        f"{rate('http_error_responses_total', 'status', _NOT_404)} "
                        "/ on () group_left () "
                        f"(sum(rate(http_responses_total{{{_NO_STATIC}SELECTOR}}"
                        "[$__rate_interval])) - sum(rate(http_error_responses_total"
                        '{SELECTOR, status="404"}[$__rate_interval])))',
                        "{{status}}",
                    )
                ],
                critical=refused,
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
