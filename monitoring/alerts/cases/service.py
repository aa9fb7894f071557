"""Cases of the alerts about what users notice, and about the service's processes.

Most begin with five healthy minutes: the fault shows in the sample at 5m15s.
"""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, gauge, histogram, series
from monitoring.alerts.table import JOB

_JOB = {"job": JOB}
_AND_JOB = f"&var-job={JOB}"
_FAILED = "&tags=%7B%22error%22%3A%22true%22%7D"
_X = {"method": "GET", "endpoint": "/x/"}


def cases() -> list[Case]:
    return [
        *_high_error_rate(),
        *_endpoint_failing(),
        *_high_response_time(),
        *_endpoint_slow(),
        *_instance_down(),
        *_all_down(),
        *_memory(),
        *_restarts(),
    ]


def _answers(status: int, *phases: tuple[float, int], **more: str) -> dict[str, str]:
    labels = _X | {"status": str(status)} | more
    return {series("http_requests_total", **labels): counter(*phases)}


def _durations(*phases: tuple[int, int, int], **more: str) -> dict[str, str]:
    """Phases of quick requests, of slow ones (2.5 to 5 seconds), and their number of samples."""
    quick = [(quick, times) for quick, _, times in phases]
    slow = [(slow, times) for _, slow, times in phases]
    none = [(0, times) for _, _, times in phases]
    buckets = {"0.5": quick, "1.0": none, "2.5": none, "5.0": slow}
    return histogram("http_request_duration_seconds", buckets, **(_X | more))


def _high_error_rate() -> list[Case]:
    name = "HighErrorRate"
    return [
        Case(
            name,
            "two of three fail for six minutes",
            _answers(200, (15, 20), (5, 24), (15, 20)) | _answers(500, (0, 20), (10, 24), (0, 20)),
            # 10 of 105 are below the threshold, 20 of 105 above it.
            starts="7m30s",
            ends="12m30s",
            labels=_JOB,
            says={
                "summary": f"66.67% of the requests to {JOB} fail",
                "dashboard_url": f"error-tracking?from=now-1h&to=now{_AND_JOB}",
                "traces_url": _FAILED,
            },
        ),
        Case(
            name,
            "nine in a hundred fail",
            _answers(200, (91, 60)) | _answers(500, (9, 60)),
            silent="15m",
        ),
        Case(
            name,
            "one failed request in a quiet night",
            _answers(200, (0, 80)) | _answers(500, (0, 20), (1, 1), (0, 59)),
            silent="20m",
        ),
        Case(
            name,
            "two failed requests in a quiet night",
            _answers(200, (0, 80)) | _answers(500, (0, 20), (1, 2), (0, 58)),
            silent="20m",
        ),
        Case(
            name,
            "a restart: counters begin again",
            {
                series("http_requests_total", **_X, status="200"): "0+15x20 0+15x40",
                series("http_requests_total", **_X, status="500"): "900x20 0x40",
            },
            silent="15m",
        ),
        Case(
            name,
            "one of two instances fails, six in a hundred of all",
            _answers(500, (6, 40)) | _answers(200, (94, 40), instance="b"),
            silent="10m",
        ),
        Case(
            name,
            "a service whose first request ever fails, and all after it",
            _answers(500, (4, 40)),
            starts="2m15s",
        ),
    ]


def _endpoint_failing() -> list[Case]:
    name = "EndpointFailing"
    elsewhere = _answers(200, (500, 80), endpoint="/y/")
    return [
        Case(
            name,
            "one endpoint of many fails for ten minutes",
            elsewhere
            | _answers(200, (4, 20), (0, 40), (4, 20))
            | _answers(500, (0, 20), (4, 40), (0, 20)),
            # 4 are too few, 8 of 76 are not.
            starts="7m30s",
            ends="19m30s",
            labels=_JOB | _X,
            says={
                "summary": "51.35% of GET /x/ fail",
                "dashboard_url": f"endpoint-detail?from=now-1h&to=now{_AND_JOB}"
                "&var-endpoint=%2Fx%2F",
                "traces_url": f"&operation=GET%20%2Fx%2F{_FAILED}",
            },
        ),
        Case(
            name,
            "four failures in five minutes of one that is seldom asked",
            _answers(200, (0, 60)) | _answers(500, (0, 20), (1, 4), (0, 36)),
            silent="15m",
        ),
        Case(
            name,
            "nine in a hundred fail",
            _answers(200, (91, 60)) | _answers(500, (9, 60)),
            silent="15m",
        ),
    ]


def _high_response_time() -> list[Case]:
    name = "HighResponseTime"
    just_below = {
        "0.5": [(0.0, 60)],
        "0.75": [(94.0, 60)],
        "1.0": [(6.0, 60)],
    }
    return [
        Case(
            name,
            "one in ten takes 2.5 to 5 seconds, for ten minutes",
            _durations((20, 0, 20), (18, 2, 40), (20, 0, 40)),
            # More than 5 % of five minutes: from the tenth sample on.
            starts="12m30s",
            ends="17m30s",
            labels=_JOB,
            says={
                "summary": f"One request in twenty to {JOB} takes more than 3.75s",
                "dashboard_url": f"api-performance?from=now-1h&to=now{_AND_JOB}",
                "traces_url": "&minDuration=1s",
            },
        ),
        Case(
            name,
            "one in twenty takes just less than a second, and an export takes long",
            histogram("http_request_duration_seconds", just_below, **_X)
            | _durations((0, 500, 60), endpoint="/admin/expenses/expense/export/"),
            silent="15m",
        ),
        Case(
            name,
            "two slow requests in a quiet night",
            _durations((0, 0, 20), (0, 1, 2), (0, 0, 58)),
            silent="20m",
        ),
        Case(
            name,
            "a restart: counters begin again",
            {name: f"{values} {values}" for name, values in _durations((500, 25, 30)).items()},
            silent="15m",
        ),
        Case(
            name,
            "one of two instances is slow, four in a hundred of all",
            _durations((0, 4, 60)) | _durations((96, 0, 60), instance="b"),
            silent="15m",
        ),
    ]


def _endpoint_slow() -> list[Case]:
    name = "EndpointSlow"
    elsewhere = _durations((500, 0, 100), endpoint="/y/")
    return [
        Case(
            name,
            "one endpoint of many takes 2.5 to 5 seconds, for ten minutes",
            elsewhere | _durations((4, 0, 20), (2, 2, 40), (4, 0, 40)),
            # 4 are too few: from the third sample on.
            starts="10m45s",
            ends="19m15s",
            labels=_JOB | _X,
            says={
                "summary": "GET /x/ takes 4.75s for one request in twenty",
                "dashboard_url": f"endpoint-detail?from=now-1h&to=now{_AND_JOB}"
                "&var-endpoint=%2Fx%2F",
                "traces_url": "&operation=GET%20%2Fx%2F&minDuration=2.5s",
            },
        ),
        Case(
            name,
            "four slow requests in five minutes of one that is seldom asked",
            _durations((0, 0, 20), (0, 1, 4), (0, 0, 36)),
            silent="15m",
        ),
        Case(
            name,
            "four in a hundred are slow, and an import takes long",
            _durations((96, 4, 60)) | _durations((0, 9, 60), endpoint="/admin/x/import/"),
            silent="15m",
        ),
    ]


def _up(*phases: tuple[float, int], instance: str = "a", job: str = JOB) -> dict[str, str]:
    return {series("up", job=job, instance=instance): gauge(*phases)}


def _instance_down() -> list[Case]:
    name = "APIEndpointDown"
    description = (
        "Prometheus got no valid answer from /metrics for 1 minute, or knows of no instance at "
        "all. The process is gone, the machine is, the network between, or the answer was refused "
        "or no metrics: Prometheus' page Targets says which."
    )
    return [
        Case(
            name,
            "one of two instances is away from 5m on for three minutes, and is named",
            _up((1, 20), (0, 12), (1, 20)) | _up((1, 52), instance="b"),
            starts="6m",
            ends="8m",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": f"a of {JOB} is down",
                "description": description,
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "no instance is known at all",
            _up((1, 52), instance="p", job="prometheus"),
            starts="1m",
            labels=_JOB,
            says={
                "summary": f"Every instance of {JOB} is down",
                "description": description,
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "four scrapes fail in a row, as in a restart",
            _up((1, 20), (0, 4), (1, 28)),
            silent="12m",
        ),
    ]


def _all_down() -> list[Case]:
    name = "AllInstancesDown"
    return [
        Case(
            name,
            "both instances are away from 5m on for three minutes",
            _up((1, 20), (0, 12), (1, 20)) | _up((1, 18), (0, 14), (1, 20), instance="b"),
            starts="6m",
            ends="8m",
            labels=_JOB,
            says={
                "summary": f"No instance of {JOB} answers",
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}",
                "traces_url": "",
            },
        ),
        Case(name, "no instance is known at all", {}, starts="1m"),
        Case(
            name,
            "one of two instances is away",
            _up((1, 4), (0, 48)) | _up((1, 52), instance="b"),
            silent="12m",
        ),
        Case(
            name,
            "instances are away one after the other, as in a rolling restart",
            _up((1, 4), (0, 10), (1, 30)) | _up((1, 14), (0, 10), (1, 20), instance="b"),
            silent="10m",
        ),
    ]


def _memory() -> list[Case]:
    name = "HighMemoryUsage"

    def memory(*phases: tuple[float, int], instance: str = "a") -> dict[str, str]:
        return {
            series("process_worker_max_resident_memory_bytes", instance=instance): gauge(*phases)
        }

    return [
        Case(
            name,
            "a worker holds 520 MB from 5m on for ten minutes",
            memory((1e8, 20), (5.2e8, 40), (1e8, 20)) | memory((4.9e8, 80), instance="b"),
            starts="10m",
            ends="15m",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": "A worker of a holds 520MB of memory",
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "490 MB for long, and a peak of four minutes",
            memory((4.9e8, 80)) | memory((1e8, 20), (6e8, 16), (1e8, 44), instance="b"),
            silent="20m",
        ),
        Case(
            name,
            "a restart in between: the new worker begins small",
            memory((5.2e8, 19), (1e8, 4), (5.2e8, 19), (1e8, 20)),
            silent="15m",
        ),
    ]


def _restarts() -> list[Case]:
    name = "WorkerRestartLoop"
    two = {series("process_workers"): gauge((2, 120))}

    def starts(*phases: tuple[float, int]) -> dict[str, str]:
        return two | {series("process_worker_starts_total"): counter(*phases, start=2)}

    return [
        Case(
            name,
            "two workers, one start every 30 seconds from 5m on for five minutes",
            starts((0, 20), *[(1, 1), (0, 1)] * 10, (0, 60)),
            # The eighth start: 8 in 525 seconds make 8.1 in ten minutes.
            starts="8m45s",
            ends="16m",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": "a started 8 workers in 10 minutes",
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "two workers are started three times each",
            starts((0, 20), *[(1, 1), (0, 1)] * 6, (0, 80)),
            silent="25m",
        ),
        Case(
            name,
            "the whole instance is restarted five times",
            two | {series("process_worker_starts_total"): " ".join(["0 2x18"] * 5)},
            silent="20m",
        ),
    ]
