"""All rules at once: on the first start, and on a day with nothing to tell."""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, gauge, histogram, series

#: Neither firing nor pending, at any evaluation.
_OTHERS = 'count_over_time(ALERTS{alertname!~"Watchdog|APIEndpointDown|AllInstancesDown"}[20m])'
_NONE = 'count_over_time(ALERTS{alertname!="Watchdog"}[20m])'


def cases() -> list[Case]:
    stack = {
        series("up", job=job, instance="h:1"): gauge((1, 81))
        for job in ("prometheus", "alertmanager", "jaeger", "probe")
    }
    return [
        Case(
            "APIEndpointDown",
            "first start, no series of the service yet: nothing else speaks",
            stack,
            starts="1m",
            values={_OTHERS: ("20m", None)},
        ),
        Case(
            "APIEndpointDown",
            "first start, nobody has asked for anything yet",
            stack | {series("up"): gauge((1, 81))},
            silent="20m",
            values={_NONE: ("20m", None)},
        ),
        Case(
            "HighErrorRate",
            "a healthy service that is restarted at 10m",
            stack | _healthy(),
            silent="20m",
            values={_NONE: ("20m", None)},
        ),
    ]


def _healthy() -> dict[str, str]:
    labels = {"method": "GET", "endpoint": "/api/v1/expenses/"}
    counts = {
        series("up"): gauge((1, 81)),
        series("process_workers"): gauge((2, 81)),
        series("process_worker_starts_total"): "2x80",
        series("process_worker_max_resident_memory_bytes"): gauge((9e7, 81)),
        series("database_pool_requests_waiting", database="default"): gauge((0, 81)),
    }
    counters = {
        series("http_responses_total", endpoint="/x/", outcome="success"): counter((20, 40)),
        series("http_responses_total", endpoint="/x/", outcome="server_error"): counter((0, 40)),
        series("http_error_responses_total", status="401"): counter((0, 40)),
        series("http_error_responses_total", status="404"): counter((1, 40)),
        series("http_requests_total", **labels, status="200"): counter((20, 40)),
        series("http_requests_total", **labels, status="500"): counter((0, 40)),
        series("database_connections_total", database="default"): counter((40, 40)),
        series("database_connection_failures_total", database="default"): counter((0, 40)),
        series("telemetry_spans_dropped_total", reason="queue_full"): counter((0, 40)),
    } | histogram("http_request_duration_seconds", {"0.5": [(20, 40)], "1.0": [(0, 40)]}, **labels)
    return counts | {name: f"{values} {values}" for name, values in counters.items()}
