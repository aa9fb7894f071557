"""Alerts about what users of the service notice, and about its processes."""

from __future__ import annotations

from monitoring.alerts.alert import FAILED, Alert
from monitoring.alerts.table import JOB, SLOW_BY_NATURE, THRESHOLDS, Threshold
from monitoring.alerts.words import COUNT, bound, percent, seconds

_SERVICE = f'job="{JOB}"'


def alerts() -> list[Alert]:
    return [
        _high_error_rate(),
        _endpoint_failing(),
        _high_response_time(),
        _endpoint_slow(),
        _instance_down(),
        _all_down(),
        _memory(),
        _restarts(),
    ]


def share_failed(level: str, window: str, above: float, least: float) -> str:
    """5xx answers over all answers, and enough of them to mean something."""
    failed = (
        f'sum by ({level}) (increase(http_requests_total{{{_SERVICE}, status=~"5.."}}[{window}]))'
    )
    total = f"sum by ({level}) (increase(http_requests_total{{{_SERVICE}}}[{window}]))"
    return f"{failed} / {total} > {above} and {failed} > {least}"


def slow(metric: str, level: str, selector: str, limit: Threshold) -> str:
    """The 95th percentile of a histogram, and enough observations above the bound.

    ``limit.above`` must be a bound of the histogram's buckets.
    """
    window, above = limit.window, limit.above
    rates = f"sum by ({level}, le) (rate({metric}_bucket{{{selector}}}[{window}]))"
    total = f"sum by ({level}) (increase({metric}_count{{{selector}}}[{window}]))"
    quick = (
        f'sum by ({level}) (increase({metric}_bucket{{{selector}, le="{above:.1f}"}}[{window}]))'
    )
    return f"histogram_quantile(0.95, {rates}) > {above} and {total} - {quick} > {limit.least}"


def _high_error_rate() -> Alert:
    limit = THRESHOLDS["HighErrorRate"]
    return Alert(
        "HighErrorRate",
        "critical",
        share_failed("job", limit.window, limit.above, limit.least),
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail",
        f"""More than {percent(limit.above)} of all answers have been 5xx for {bound(limit.hold)}.
        Users see errors now. Which endpoint and which exception: the dashboard Error Tracking.""",
        "error-tracking",
        traces=FAILED,
    )


def _endpoint_failing() -> Alert:
    limit = THRESHOLDS["EndpointFailing"]
    return Alert(
        "EndpointFailing",
        "warning",
        share_failed("job, method, endpoint", limit.window, limit.above, limit.least),
        "{{ $value | humanizePercentage }} of {{ $labels.method }} {{ $labels.endpoint }} fail",
        f"""More than {percent(limit.above)} of the answers of this endpoint have been 5xx for
        {bound(limit.hold)}, while the service as a whole may look well. A new release of this
        endpoint, or what it alone depends on.""",
        "endpoint-detail",
        ("job", "endpoint"),
        {"operation": "{method} {endpoint}", **FAILED},
    )


def _high_response_time() -> Alert:
    limit = THRESHOLDS["HighResponseTime"]
    return Alert(
        "HighResponseTime",
        "warning",
        slow(
            "http_request_duration_seconds",
            "job",
            f'{_SERVICE}, endpoint!~"{SLOW_BY_NATURE}"',
            limit,
        ),
        "One request in twenty to {{ $labels.job }} takes more than "
        "{{ $value | humanizeDuration }}",
        f"""The 95th percentile of the response time has been above {seconds(limit.above)} for
        {bound(limit.hold)}; imports and exports are not counted. Which endpoint: the dashboard API
        Performance Overview. A dot on it leads to the trace of such a request.""",
        "api-performance",
        traces={"minDuration": f"{limit.above:g}s"},
    )


def _endpoint_slow() -> Alert:
    limit = THRESHOLDS["EndpointSlow"]
    return Alert(
        "EndpointSlow",
        "warning",
        slow(
            "http_request_duration_seconds",
            "job, method, endpoint",
            f'{_SERVICE}, endpoint!~"{SLOW_BY_NATURE}"',
            limit,
        ),
        "{{ $labels.method }} {{ $labels.endpoint }} takes {{ $value | humanizeDuration }} "
        "for one request in twenty",
        f"""The 95th percentile of this endpoint has been above {seconds(limit.above)} for
        {bound(limit.hold)}. Its statements, its outgoing calls and repeated queries are on its
        dashboard.""",
        "endpoint-detail",
        ("job", "endpoint"),
        {"operation": "{method} {endpoint}", "minDuration": f"{limit.above:g}s"},
    )


def _instance_down() -> Alert:
    hold = THRESHOLDS["APIEndpointDown"].hold
    return Alert(
        "APIEndpointDown",
        "critical",
        f"up{{{_SERVICE}}} == 0 or absent(up{{{_SERVICE}}})",
        "{{ if $labels.instance }}{{ $labels.instance }}{{ else }}Every instance{{ end }} of "
        "{{ $labels.job }} is down",
        f"""Prometheus got no valid answer from /metrics for {bound(hold)}, or knows of no instance
        at all. The process is gone, the machine is, the network between, or the answer was
        refused or no metrics: Prometheus' page Targets says which.""",
        "system-health",
        ("job", "instance"),
    )


def _all_down() -> Alert:
    hold = THRESHOLDS["AllInstancesDown"].hold
    return Alert(
        "AllInstancesDown",
        "critical",
        f"sum by (job) (up{{{_SERVICE}}}) == 0 or absent(up{{{_SERVICE}}})",
        "No instance of {{ $labels.job }} answers",
        f"""Not one instance has answered its scrape for {bound(hold)}. If it is the service and
        not the network between Prometheus and it, nobody is served. Alerts that follow from this
        one are held back.""",
        "system-health",
    )


def _memory() -> Alert:
    limit = THRESHOLDS["HighMemoryUsage"]
    return Alert(
        "HighMemoryUsage",
        "warning",
        # The largest worker: what grows is one process, however many there are.
        f"process_worker_max_resident_memory_bytes{{{_SERVICE}}} > {limit.above:.0f}",
        "A worker of {{ $labels.instance }} holds {{ $value | humanize }}B of memory",
        f"""The largest worker process has been above {limit.above / 1e6:.0f} MB for
        {bound(limit.hold)}. It may be a leak, or one request that loads too much. Near the
        machine's limit the kernel kills the worker.""",
        "system-health",
        ("job", "instance"),
    )


def _restarts() -> Alert:
    limit = THRESHOLDS["WorkerRestartLoop"]
    return Alert(
        "WorkerRestartLoop",
        "warning",
        f"""increase(process_worker_starts_total{{{_SERVICE}}}[{limit.window}])
        > {limit.above:g} * max_over_time(process_workers{{{_SERVICE}}}[{limit.window}])""",
        f"{{{{ $labels.instance }}}} started {COUNT} workers in {bound(limit.window)}",
        f"""Workers end and are started again: more than {limit.above:g} starts for each worker in
        {bound(limit.window)}. Requests that such a worker was answering are lost. The service's log
        says why: an exception at start, a signal, or the kernel's out-of-memory killer.""",
        "system-health",
        ("job", "instance"),
    )
