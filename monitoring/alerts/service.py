"""Alerts about what users of the service notice, and about its processes."""

from __future__ import annotations

from monitoring.alerts.alert import FAILED, Alert
from monitoring.alerts.counts import again_and_again, bucket, grown, growth, share
from monitoring.alerts.recording import Rule, record
from monitoring.alerts.table import (
    JOB,
    RESTARTS_OF_DEPLOYS,
    SLOW_BY_NATURE,
    THRESHOLDS,
    Threshold,
)
from monitoring.alerts.words import COUNT, bound, percent, seconds

_SERVICE = f'job="{JOB}"'
#: Answers, static files left out: a page with twenty of them would hide that it fails itself.
_ANSWERS = f'http_responses_total{{{_SERVICE}, endpoint!="static"}}'
_FAILED = f'http_responses_total{{{_SERVICE}, endpoint!="static", outcome="server_error"}}'
#: Requests that were answered as they should, or failed: no mistakes of clients, such as 404s.
_VALID = f'http_responses_total{{{_SERVICE}, endpoint!="static", outcome!="client_error"}}'


#: HighErrorRate's window is InstanceFailing's.
_SHORT = THRESHOLDS["HighErrorRate"].window
_LONG, _LATELY = THRESHOLDS["EndpointFailing"].window, THRESHOLDS["EndpointFailing"].hold
_INSTANCE = f"job_instance:http_responses{{kind}}:increase{_SHORT}"
_METHOD = "job_method_endpoint:http_requests_{kind}:increase{window}"
_ENDPOINT = "job_endpoint:http_responses_failed:increase5m"


def records() -> list[Rule]:
    """What the alerts below are made of, counted right before them."""
    failed = f'http_requests_total{{{_SERVICE}, status=~"5.."}}'
    valid = f'http_requests_total{{{_SERVICE}, status!~"4.."}}'
    level = "job, method, endpoint"
    return [
        *(
            record(_INSTANCE.format(kind=kind), grown(selector, "job, instance", _SHORT))
            for kind, selector in (("", _ANSWERS), ("_failed", _FAILED), ("_valid", _VALID))
        ),
        # By method: it says more, and reading does not hide that nothing can be written.
        *(
            record(_METHOD.format(kind=kind, window=window), grown(selector, level, window))
            for kind, selector, window in (
                ("failed", failed, _LATELY),
                ("failed", failed, _LONG),
                ("valid", valid, _LONG),
            )
        ),
        # Only where there are any: a thousand routes need no thousand series of zeros.
        record(_ENDPOINT, f"{growth(_FAILED, 'job, endpoint', '5m')} > 0"),
    ]


def alerts() -> list[Alert]:
    return [
        _high_error_rate(),
        _instance_failing(),
        _endpoint_failing(),
        _refused(),
        _high_response_time(),
        _endpoint_slow(),
        _instance_down(),
        _all_down(),
        _flapping(),
        _memory(),
        _memory_limit(),
        _restarts(),
    ]


def slow(metric: str, level: str, selector: str, limit: Threshold) -> str:
    """The 95th percentile of a histogram, and enough observations above the bound.

    ``limit.above`` must be a bound of the histogram's buckets.
    """
    window, above = limit.window, limit.above
    rates = f"sum by ({level}, le) (rate({metric}_bucket{{{selector}}}[{window}]))"
    total = f"sum by ({level}) (increase({metric}_count{{{selector}}}[{window}]))"
    quick = f"sum by ({level}) (increase({metric}_bucket{{{selector}, {bucket(above)}}}[{window}]))"
    return f"histogram_quantile(0.95, {rates}) > {above} and {total} - {quick} > {limit.least}"


def _high_error_rate() -> Alert:
    limit = THRESHOLDS["HighErrorRate"]
    failed, answers = (f"sum by (job) ({_INSTANCE.format(kind=kind)})" for kind in ("_failed", ""))
    return Alert(
        "HighErrorRate",
        "critical",
        share(failed, answers, limit.above, limit.least),
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.job }} fail",
        f"""More than {percent(limit.above)} of all answers have been 5xx for {bound(limit.hold)}.
        Users see errors now. Which endpoint and which exception: the dashboard Error Tracking.""",
        "error-tracking",
        traces=FAILED,
    )


def _instance_failing() -> Alert:
    limit = THRESHOLDS["InstanceFailing"]
    failed, valid = (_INSTANCE.format(kind=kind) for kind in ("_failed", "_valid"))
    everywhere = f"sum by (job) ({failed}) / sum by (job) ({valid})"
    return Alert(
        "InstanceFailing",
        "critical",
        # Where all fail alike there is nothing to tell of one.
        f"""{share(failed, valid, limit.above, limit.least)}
        and {failed} / {valid} > on (job) group_left () (1.5 * {everywhere})""",
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.instance }} fail",
        f"""More than {percent(limit.above)} of the answers of this instance have been 5xx for
        {bound(limit.hold)} (4xx left out), and far fewer of the others: its machine, its
        connection to the database, or a deploy that reached it first.""",
        "error-tracking",
        ("job", "instance"),
        FAILED,
    )


def _endpoint_failing() -> Alert:
    limit = THRESHOLDS["EndpointFailing"]
    failed, lately, valid = (
        _METHOD.format(kind=kind, window=window)
        for kind, window in (("failed", _LONG), ("failed", _LATELY), ("valid", _LONG))
    )
    often = share(failed, valid, limit.above, limit.least)
    seldom = again_and_again(_ENDPOINT, growth(_VALID, "job, endpoint", "15m"), limit.above)
    return Alert(
        "EndpointFailing",
        "warning",
        f"{often} and {lately} > 0 or on (job, endpoint) {seldom}",
        "{{ $value | humanizePercentage }} of {{ with $labels.method }}{{ . }} {{ end }}"
        "{{ $labels.endpoint }} fail",
        f"""More than {percent(limit.above)} of the answers of this endpoint have been 5xx for
        {bound(limit.hold)} (4xx left out), while the service as a whole may look well. A new
        release of this endpoint, or what it alone depends on. Without a method in its labels it is
        an endpoint that is seldom asked, and has failed again and again for 15 minutes.""",
        "endpoint-detail",
        ("job", "endpoint"),
        {"tags": '{"error":"true","http.route":"{endpoint}"}'},
    )


def _refused() -> Alert:
    limit = THRESHOLDS["RequestsRefused"]
    errors = f"http_error_responses_total{{{_SERVICE}"
    # What scanners ask for is not there: their 404s say nothing, and hide nothing.
    refused = growth(f'{errors}, status=~"4.+", status!="404"}}', "job, status", limit.window)
    missing = growth(f'{errors}, status="404"}}', "job", limit.window)
    total = f"({growth(_ANSWERS, 'job', limit.window)} - {missing})"
    return Alert(
        "RequestsRefused",
        "warning",
        f"""{refused} / on (job) group_left () {total} > {limit.above}
        and {refused} > {limit.least}""",
        "{{ $value | humanizePercentage }} of the requests are answered {{ $labels.status }}",
        f"""More than {percent(limit.above)} of all answers (404 left out) have had this one status
        for {bound(limit.hold)}. No 5xx, and yet nobody is served: 401 and 403, logins or rights are
        gone; 429, a limit is too low; 499, clients give up waiting; 400, a host name is not
        allowed. One busy client with an old token does the same at night.""",
        "error-tracking",
        traces={"tags": '{"http.response.status_code":"{status}"}'},
    )


def _flapping() -> Alert:
    limit = THRESHOLDS["InstanceFlapping"]
    return Alert(
        "InstanceFlapping",
        "critical",
        f"""changes(process_start_time_seconds{{{_SERVICE}}}[{limit.window}])
        > {RESTARTS_OF_DEPLOYS}
        or changes(up{{{_SERVICE}}}[{limit.window}]) > {limit.above:g}""",
        "{{ $labels.instance }} comes and goes",
        f"""In {bound(limit.window)} it was started more than {RESTARTS_OF_DEPLOYS} times, or
        changed between up and down more than {limit.above:g} times. It is never away for the
        minute that APIEndpointDown waits for, and loses requests each time: a crash at start or
        soon after, a health check that kills it, memory, or a network that drops scrapes.""",
        "system-health",
        ("job", "instance"),
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


def _memory_limit() -> Alert:
    limit = THRESHOLDS["MemoryNearLimit"]
    return Alert(
        "MemoryNearLimit",
        "warning",
        f"""process_resident_memory_bytes{{{_SERVICE}}} / process_memory_limit_bytes{{{_SERVICE}}}
        > {limit.above}""",
        "{{ $labels.instance }} holds {{ $value | humanizePercentage }} of the memory that it may",
        f"""All processes of the instance together have been above {percent(limit.above)} of its
        container's limit, or of the machine's memory where there is none, for {bound(limit.hold)}.
        At the limit the kernel kills a worker, or the whole container.""",
        "system-health",
        ("job", "instance"),
    )


def _restarts() -> Alert:
    limit = THRESHOLDS["WorkerRestartLoop"]
    return Alert(
        "WorkerRestartLoop",
        "warning",
        # Several in one moment are no loop.
        f"""increase(process_worker_crashes_total{{{_SERVICE}}}[{limit.window}]) > {limit.above:g}
        and changes(process_worker_crashes_total{{{_SERVICE}}}[{limit.window}]) > 1""",
        f"{COUNT} workers of {{{{ $labels.instance }}}} ended unasked in {bound(limit.window)}",
        """Workers end again and again without being asked to, and others start in their place;
        recycled ones (max_requests) do not count. Requests that such a worker was answering are
        lost. The service's log says why: a signal, or the kernel's out-of-memory killer.""",
        "system-health",
        ("job", "instance"),
    )
