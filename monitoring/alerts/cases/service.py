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
        *_instance_failing(),
        *_endpoint_failing(),
        *_refused(),
        *_high_response_time(),
        *_endpoint_slow(),
        *_instance_down(),
        *_all_down(),
        *_flapping(),
        *_memory(),
        *_memory_limit(),
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


def _responses(outcome: str, *phases: tuple[float, int], **more: str) -> dict[str, str]:
    """The companion of ``_answers`` that is there at 0 before the first request."""
    labels = {"endpoint": "/x/", "outcome": outcome} | more
    return {series("http_responses_total", **labels): counter(*phases)}


def _good(*phases: tuple[float, int], **more: str) -> dict[str, str]:
    return _responses("success", *phases, **more)


def _bad(*phases: tuple[float, int], **more: str) -> dict[str, str]:
    return _responses("server_error", *phases, **more)


def _high_error_rate() -> list[Case]:
    name = "HighErrorRate"
    # Its first sample, one scrape after the others', is what its process has counted by then.
    late = "_ " + counter((12, 40), start=40)
    return [
        Case(
            name,
            "two of three fail for six minutes",
            _good((15, 20), (5, 24), (15, 20)) | _bad((0, 20), (10, 24), (0, 20)),
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
            _good((91, 60)) | _bad((9, 60)),
            silent="15m",
        ),
        Case(
            name,
            "twelve in a hundred fail, and each page has ten static files",
            _good((88, 60)) | _bad((12, 60)) | _good((1000, 60), endpoint="static"),
            starts="2m15s",
        ),
        Case(
            name,
            "many static files are missing, and nothing else",
            _good((10, 60))
            | _responses("client_error", (100, 60), endpoint="static")
            | _bad((100, 60), endpoint="static"),
            silent="15m",
        ),
        Case(
            name,
            "one failed request in a quiet night",
            _good((0, 80)) | _bad((0, 20), (1, 1), (0, 59)),
            silent="20m",
        ),
        Case(
            name,
            "five failed requests in one moment of a quiet night",
            _good((0, 80)) | _bad((0, 20), (5, 1), (0, 59)),
            silent="20m",
        ),
        Case(
            name,
            "forty failed requests in one moment of a quiet night, seen by two scrapes",
            _good((0, 80)) | _bad((0, 20), (25, 1), (15, 1), (0, 58)),
            silent="20m",
        ),
        Case(
            name,
            "a restart: counters begin again",
            {
                series(
                    "http_responses_total", endpoint="/x/", outcome="success"
                ): "0+15x20 0+15x40",
                series(
                    "http_responses_total", endpoint="/x/", outcome="server_error"
                ): "900x20 0x40",
            },
            silent="15m",
        ),
        Case(
            name,
            "one of two instances fails, six in a hundred of all",
            _bad((6, 40)) | _good((94, 40), instance="b"),
            silent="10m",
        ),
        Case(
            name,
            "a service whose first request ever fails, and all after it",
            _bad((4, 40)),
            starts="2m15s",
        ),
        Case(
            name,
            "an instance restarts every minute: each time its counters begin with failures",
            {
                series("http_responses_total", endpoint="/x/", outcome="server_error"): " ".join(
                    ["20 25 30 35"] * 10
                )
            },
            # The first increase, two minutes before.
            starts="2m15s",
        ),
        Case(
            name,
            "a new instance fails at once: the first sample of its series is no zero",
            {
                series("up"): gauge((1, 42)),
                series("process_start_time_seconds"): "_ 5x40",
                series("http_responses_total", endpoint="/x/", outcome="server_error"): late,
                series("http_responses_total", endpoint="/x/", outcome="success"): "_ 0x40",
            },
            starts="2m15s",
            # 40 in the first sample and twelve in each of the seven after it.
            values={"sum(job_instance:http_responses_failed:increase2m)": ("2m", 124)},
        ),
        Case(
            name,
            "Prometheus comes back after a pause and finds old failures",
            {
                series("up"): "1x8 _x40 1x40",
                series("process_start_time_seconds"): "1x8 _x40 1x40",
                series("http_responses_total", endpoint="/x/", outcome="server_error"): (
                    "_x49 900x40"
                ),
                series("http_responses_total", endpoint="/x/", outcome="success"): "_x49 9x40",
            },
            silent="20m",
        ),
    ]


def _instance_failing() -> list[Case]:
    name = "InstanceFailing"
    nine = {
        key: value
        for number in range(9)
        for key, value in _good((10, 60), instance=f"b{number}").items()
    }
    return [
        Case(
            name,
            "one of ten instances fails every request for six minutes",
            nine | _good((10, 20), (0, 24), (10, 16)) | _bad((0, 20), (10, 24), (0, 16)),
            # 10 of 80 in the first sample, 20 of 80 in the second.
            starts="7m30s",
            ends="12m30s",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": "100% of the requests to a fail",
                "dashboard_url": f"error-tracking?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": _FAILED,
            },
        ),
        Case(
            name,
            "one of ten fails every request, among many 404s",
            nine | _bad((0, 20), (10, 40)) | _responses("client_error", (500, 60)),
            starts="7m15s",
        ),
        Case(
            name,
            "one of ten fails one request in five",
            nine | _good((8, 60)) | _bad((2, 60)),
            silent="15m",
        ),
        Case(
            name,
            "all instances fail alike: HighErrorRate tells it",
            _bad((10, 60)) | _bad((10, 60), instance="b"),
            silent="15m",
        ),
        Case(
            name,
            "five failures in one moment of a quiet night",
            _good((0, 60)) | _bad((0, 20), (5, 1), (0, 39)) | _good((1, 60), instance="b"),
            silent="15m",
        ),
    ]


def _endpoint_failing() -> list[Case]:
    name = "EndpointFailing"
    elsewhere = _answers(200, (500, 80), endpoint="/y/")
    up = {series("up"): gauge((1, 120))}
    minute = (1.0, 1), (0.0, 3)
    links = {
        "dashboard_url": f"endpoint-detail?from=now-1h&to=now{_AND_JOB}&var-endpoint=%2Fx%2F",
        "traces_url": "&tags=%7B%22error%22%3A%22true%22%2C%22http.route%22%3A%22%2Fx%2F%22%7D",
    }
    return [
        Case(
            name,
            "one endpoint of many fails for ten minutes",
            elsewhere
            | _answers(200, (4, 20), (0, 40), (4, 20))
            | _answers(500, (0, 20), (4, 40), (0, 20)),
            # 4 are too few, 8 of 76 are not.
            starts="7m30s",
            # Two minutes after the last failure.
            ends="16m45s",
            labels=_JOB | _X,
            says=links | {"summary": "51.35% of GET /x/ fail"},
        ),
        Case(
            name,
            "what is written fails, and what is read hides it",
            _answers(200, (500, 60)) | _answers(503, (0, 20), (4, 40), method="POST"),
            starts="7m30s",
        ),
        Case(
            name,
            "404s of the same endpoint hide that every real request fails",
            _answers(404, (500, 60)) | _answers(500, (0, 20), (4, 40)),
            starts="7m30s",
        ),
        Case(
            name,
            "most requests are 404s, and nine in a hundred of the others fail",
            _answers(404, (500, 60)) | _answers(200, (91, 60)) | _answers(500, (9, 60)),
            silent="15m",
        ),
        Case(
            name,
            "no sample of it before the first six failures, then one now and then",
            up
            | _answers(200, (4, 60), method="POST")
            | {
                series("http_requests_total", **_X, status="500"): "_x20 "
                + counter(*[(0, 1), (1, 1)] * 20, start=6)
            },
            starts="7m",
            labels=_JOB | _X,
            says=links | {"summary": "100% of GET /x/ fail"},
        ),
        Case(
            name,
            "one request a minute, all failing, for twenty minutes",
            _good((0, 120)) | _bad((0, 20), *minute * 20, (0, 20)),
            # In each of three times five minutes, and two minutes more.
            starts="17m15s",
            ends="29m",
            labels=_JOB | {"endpoint": "/x/"},
            says=links | {"summary": "100% of /x/ fail"},
        ),
        Case(
            name,
            "one request a minute, failing for four minutes",
            _good((0, 120)) | _bad((0, 20), *minute * 4, (0, 84)),
            silent="30m",
        ),
        Case(
            name,
            "four failures in five minutes of one that is seldom asked",
            up
            | _good((0, 60))
            | _bad((0, 20), (1, 4), (0, 36))
            | _answers(200, (0, 60))
            | _answers(500, (0, 20), (1, 4), (0, 36)),
            silent="15m",
        ),
        Case(
            name,
            "five failures in one moment of a quiet night",
            up
            | _good((0, 60))
            | _bad((0, 20), (5, 1), (0, 39))
            | _answers(200, (0, 60))
            | _answers(500, (0, 20), (5, 1), (0, 39)),
            silent="15m",
        ),
        Case(
            name,
            "five failures in one moment are the first samples that there are",
            up
            | _good((0, 60))
            | _bad((0, 20), (5, 1), (0, 39))
            | {series("http_requests_total", **_X, status="500"): "_x20 5x40"},
            silent="15m",
        ),
        Case(
            name,
            "nine in a hundred fail",
            _good((91, 60)) | _bad((9, 60)) | _answers(200, (91, 60)) | _answers(500, (9, 60)),
            silent="15m",
        ),
    ]


def _refused() -> list[Case]:
    name = "RequestsRefused"

    def refused(status: str, *phases: tuple[float, int]) -> dict[str, str]:
        return {series("http_error_responses_total", status=status): counter(*phases)}

    def everybody(status: str) -> dict[str, str]:
        return (
            _good((10, 20), (0, 44), (10, 36))
            | _responses("client_error", (0, 20), (10, 44), (0, 36))
            | refused(status, (0, 20), (10, 44), (0, 36))
            | refused("404", (0, 100))
        )

    return [
        Case(
            name,
            "everybody is answered 401 for eleven minutes",
            everybody("401"),
            # Half of five minutes, and five minutes more.
            starts="12m30s",
            # The good ones are half of five minutes again.
            ends="18m30s",
            labels=_JOB | {"status": "401"},
            says={
                "summary": "100% of the requests are answered 401",
                "dashboard_url": f"error-tracking?from=now-1h&to=now{_AND_JOB}",
                "traces_url": "&tags=%7B%22http.response.status_code%22%3A%22401%22%7D",
            },
        ),
        *(
            Case(name, f"everybody is answered {status}", everybody(status), starts="12m30s")
            for status in ("400", "403", "429", "499", "4xx")
        ),
        Case(
            name,
            "everybody is answered 429, and a scanner's 404s hide it",
            _good((0, 80))
            | _responses("client_error", (10, 80))
            | _responses("client_error", (500, 80), endpoint="unmatched")
            | refused("429", (10, 80))
            | refused("404", (500, 80)),
            starts="5m15s",
        ),
        *(
            Case(
                name,
                f"four in ten are answered {status}",
                _good((6, 80))
                | _responses("client_error", (4, 80))
                | refused(status, (4, 80))
                | refused("404", (0, 80)),
                silent="20m",
            )
            for status in ("401", "429", "499")
        ),
        Case(
            name,
            "a scanner of whose requests all are 404",
            _good((1, 80))
            | _responses("client_error", (500, 80), endpoint="unmatched")
            | refused("404", (500, 80)),
            silent="20m",
        ),
        Case(
            name,
            "one client a minute comes with an old token in a quiet night",
            _good((0, 80))
            | _responses("client_error", *[(1, 1), (0, 3)] * 20)
            | refused("401", *[(1, 1), (0, 3)] * 20)
            | refused("404", (0, 80)),
            silent="20m",
        ),
        Case(
            name,
            "twenty in one moment of a quiet night",
            _good((0, 80))
            | _responses("client_error", (0, 20), (20, 1), (0, 59))
            | refused("401", (0, 20), (20, 1), (0, 59))
            | refused("404", (0, 80)),
            silent="20m",
        ),
    ]


def _flapping() -> list[Case]:
    name = "InstanceFlapping"

    def started(*times: tuple[int, int]) -> dict[str, str]:
        """Start times and the number of samples that show each."""
        return {
            series("process_start_time_seconds"): " ".join(
                f"{time}x{samples - 1}" for time, samples in times
            )
        }

    return [
        Case(
            name,
            "up 30 s and down 30 s from 5m on for ten minutes",
            _up((1, 20), *[(0, 2), (1, 2)] * 10, (1, 80)),
            # The sixth change.
            starts="7m30s",
            # Five are left in 15 minutes.
            ends="26m45s",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": "a comes and goes",
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "a restart every 30 seconds, between the scrapes",
            started((1, 20), *((100 + number, 2) for number in range(20)), (500, 40))
            | _up((1, 100)),
            # The fourth start.
            starts="6m30s",
        ),
        Case(
            name,
            "up in one scrape of four",
            _up((1, 20), *[(1, 1), (0, 3)] * 15),
            starts="8m",
        ),
        Case(
            name,
            "down in one scrape of four",
            _up((1, 20), *[(1, 3), (0, 1)] * 15),
            starts="8m",
        ),
        Case(
            name,
            "killed and started again every three minutes, with its series gone in between",
            {
                series("process_start_time_seconds"): " ".join(
                    f"{100 * number}x8 stale _x2" for number in range(1, 9)
                )
            },
            starts="12m",
        ),
        Case(
            name,
            "two deploys within ten minutes, each with half a minute away",
            _up((1, 20), (0, 2), (1, 30), (0, 2), (1, 60)) | started((1, 21), (5, 33), (9, 60)),
            silent="28m",
        ),
        Case(
            name,
            "workers are recycled by max_requests: the instance's first process stays",
            _up((1, 100))
            | started((1, 100))
            | {series("process_worker_starts_total"): counter((2, 100))},
            silent="25m",
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
            "a bound of one second that is written 1",
            {
                series.replace('le="1.0"', 'le="1"'): values
                for series, values in _durations((0, 10, 60)).items()
            },
            starts="5m15s",
        ),
        Case(
            name,
            "a bound of one second that is written 1, and four in a hundred are slow",
            {
                series.replace('le="1.0"', 'le="1"'): values
                for series, values in _durations((96, 4, 60)).items()
            },
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


def _memory_limit() -> list[Case]:
    name = "MemoryNearLimit"

    def memory(limit: float, *phases: tuple[float, int]) -> dict[str, str]:
        return {
            series("process_resident_memory_bytes"): gauge(*phases),
            series("process_memory_limit_bytes"): gauge((limit, sum(times for _, times in phases))),
            # No worker is large.
            series("process_worker_max_resident_memory_bytes"): gauge((1e8, 80)),
        }

    return [
        Case(
            name,
            "eight workers of 120 MB in a container of 1 GB, from 5m on for ten minutes",
            memory(1e9, (5e8, 20), (9.6e8, 40), (5e8, 20)),
            starts="10m",
            ends="15m",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": "a holds 96% of the memory that it may",
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "a container of 256 MB, in which no worker can reach 500 MB",
            memory(2.56e8, (2.4e8, 80)),
            starts="5m",
        ),
        Case(name, "88 % of the limit for long", memory(1e9, (8.8e8, 80)), silent="20m"),
        Case(
            name,
            "a peak of four minutes",
            memory(1e9, (5e8, 20), (9.9e8, 16), (5e8, 44)),
            silent="20m",
        ),
        Case(
            name,
            "three times 960 MB of a machine without a limit",
            memory(2.4e10, (2.9e9, 80)),
            silent="20m",
        ),
    ]


def _restarts() -> list[Case]:
    name = "WorkerRestartLoop"

    def crashes(*phases: tuple[float, int]) -> dict[str, str]:
        return {series("process_worker_crashes_total"): counter(*phases)}

    return [
        Case(
            name,
            "a worker is killed by the kernel every four minutes, from 5m on",
            crashes((0, 20), *[(1, 1), (0, 15)] * 5, (0, 100)),
            # The third of them.
            starts="13m15s",
            # Two are left in twenty minutes.
            ends="33m",
            labels=_JOB | {"instance": "a"},
            says={
                "summary": "3 workers of a ended unasked in 20 minutes",
                "dashboard_url": f"system-health?from=now-1h&to=now{_AND_JOB}&var-instance=a",
                "traces_url": "",
            },
        ),
        Case(
            name,
            "nine are killed at once, and one more a minute later",
            crashes((0, 20), (9, 1), (0, 3), (1, 1), (0, 95)),
            starts="6m15s",
        ),
        Case(
            name,
            "one worker is killed every fifteen minutes",
            crashes((0, 20), *[(1, 1), (0, 59)] * 4),
            silent="60m",
        ),
        Case(
            name,
            "all eight workers are killed in one moment",
            crashes((0, 20), (8, 1), (0, 99)),
            silent="30m",
        ),
        Case(
            name,
            "workers are recycled by max_requests, one every 15 seconds",
            crashes((0, 120)) | {series("process_worker_starts_total"): counter((1, 120))},
            silent="30m",
        ),
        Case(
            name,
            "the whole instance is restarted five times",
            {series("process_worker_crashes_total"): " ".join(["0x19"] * 5)},
            silent="20m",
        ),
    ]
