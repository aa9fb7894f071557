"""The request's way under every server we claim, with its signals compared over sockets."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)

from telemetry.metrics.definitions import DEFINITIONS
from testing.servers import Server, gunicorn, poll, runserver, uvicorn
from tests.conftest import samples

pytestmark = pytest.mark.servers

SITE = "tests.telemetry.site.settings"
SERVERS = {
    "gunicorn-gthread": gunicorn("gthread"),
    "gunicorn-sync": gunicorn("sync"),
    "gunicorn-by-the-docs": gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py"),
    "uvicorn": uvicorn(workers=2),
    "runserver": runserver(),
}
#: The labels that every instrument of OpenTelemetry's metrics has.
METER = {"otel_scope_name": "tests.site", "otel_scope_version": ""}
WORKERS = {name: 1 if name == "runserver" else 2 for name in SERVERS}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    started = Server(
        SERVERS[request.param],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": SITE,
            # Datagrams to nobody: traces are sampled, and need no receiver.
            "OTEL_TRACES_EXPORTER": "jaeger",
            "JAEGER_AGENT_PORT": "9",
        },
        name=request.param,
    )
    yield started
    started.stop()


def counted(server: Server, metric: str, **labels: str) -> float:
    return samples(server.scrape()).get((metric, frozenset(labels.items())), 0.0)


def test_the_correlation_id_is_on_the_answer_and_in_the_log(server: Server) -> None:
    response = server.get("/query/", headers={"X-Correlation-ID": "chosen-1"})

    assert response.headers["X-Correlation-ID"] == "chosen-1"
    line = server.line_of("chosen-1")
    assert (line["endpoint"], line["status"], line["db_queries"]) == ("/query/", 200, 1)


def test_a_log_line_inside_the_view_has_the_ids_of_its_request(server: Server) -> None:
    response = server.get("/hello/anna/")

    correlation_id = response.headers["X-Correlation-ID"]
    inside = server.line_of(correlation_id, "tests.site")
    outside = server.line_of(correlation_id)
    assert inside["trace_id"] == outside["trace_id"] != ""


def test_server_timing_leads_to_the_trace(server: Server) -> None:
    response = server.get("/hello/")

    found = re.search(r'traceparent;desc="00-([0-9a-f]{32})-', response.headers["Server-Timing"])
    assert found is not None
    assert server.line_of(response.headers["X-Correlation-ID"])["trace_id"] == found.group(1)


def test_no_two_workers_make_the_same_ids(server: Server) -> None:
    """A preloaded application is forked with whatever its master had made."""
    seen: list[tuple[str, str, str]] = []

    def both_answered() -> bool:
        answer = server.get("/process/?seconds=0.01")
        timing = re.search(r'desc="00-(\w{32})-(\w{16})-', answer.headers.get("Server-Timing", ""))
        assert timing is not None
        seen.append((answer.text, timing[1], timing[2]))
        workers = {process for process, _trace_id, _span_id in seen}
        return len(seen) >= 60 and len(workers) == WORKERS[server.name]

    poll(both_answered, 60, "not every worker answered")

    _workers, trace_ids, span_ids = zip(*seen, strict=True)
    assert len(set(trace_ids)) == len(set(span_ids)) == len(seen)


def test_requests_are_counted_over_all_workers(server: Server) -> None:
    labels = {"method": "GET", "endpoint": "/hello/{name}/", "status": "200"}
    before = counted(server, "http_requests_total", **labels)

    for _ in range(40):
        server.get("/hello/berta/")

    assert counted(server, "http_requests_total", **labels) == before + 40


def test_statements_are_counted_over_all_workers(server: Server) -> None:
    labels = {"operation": "SELECT", "table": "auth_user"}
    before = counted(server, "database_queries_total", **labels)

    for _ in range(20):
        server.get("/query/")

    assert counted(server, "database_queries_total", **labels) == before + 20


def test_every_metric_of_the_table_is_there(server: Server) -> None:
    scraped = server.scrape()

    for definition in DEFINITIONS:
        assert f"# TYPE {definition.name} {definition.kind}\n" in scraped


def test_a_librarys_metrics_are_summed_over_all_workers(server: Server) -> None:
    before = counted(server, "coffees_total", strength="strong")

    for _ in range(20):
        server.get("/coffee/")

    assert counted(server, "coffees_total", strength="strong") == before + 20
    assert counted(server, "beans") == 42


def test_opentelemetrys_instruments_are_summed_over_all_workers(server: Server) -> None:
    counting: list[str] = []

    def every_worker_counts() -> bool:
        counting.append(server.get("/tea/").text)
        return len(set(counting)) == WORKERS[server.name]

    poll(every_worker_counts, 60, "not every worker counted")

    assert counted(server, "teas_total", **METER, kind="green") == len(counting)


def test_exemplars_lead_to_traces_of_every_worker(server: Server) -> None:
    traces = set()
    for _ in range(30):
        # A route that nobody asked for before: a bucket keeps its exemplar for some seconds.
        answer = server.get("/custom-span/")
        traces.add(server.line_of(answer.headers["X-Correlation-ID"])["trace_id"])

    scraped = server.scrape("application/openmetrics-text; version=1.0.0")

    exemplars = {
        sample.exemplar.labels["trace_id"]
        for family in parse_openmetrics(scraped)
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_bucket"
        and sample.labels["endpoint"] == "/custom-span/"
        and sample.exemplar
    }
    assert exemplars
    assert exemplars <= traces
    assert "trace_id" not in server.scrape()


def test_the_whole_instance_is_measured(server: Server) -> None:
    assert counted(server, "process_workers") == WORKERS[server.name]
    assert counted(server, "process_open_fds") > 5 * WORKERS[server.name]
    assert counted(server, "process_cpu_seconds_total") > 0.1


def test_memory_is_measured(server: Server) -> None:
    total = poll(
        lambda: counted(server, "process_resident_memory_bytes"), 20, "memory was not measured"
    )

    assert 20e6 < counted(server, "process_worker_max_resident_memory_bytes") < 400e6
    assert 20e6 < total < 400e6


def test_an_exception_is_one_line_and_one_error(server: Server) -> None:
    labels = {"type": "RuntimeError", "endpoint": "/fail/"}
    before = counted(server, "errors_total", **labels)

    response = server.get("/fail/", headers={"X-Correlation-ID": f"fails-{server.name}"})

    assert response.status_code == 500
    assert counted(server, "errors_total", **labels) == before + 1
    line = server.line_of(f"fails-{server.name}")
    assert line["exception"]["message"] == "it broke"
    assert sum(f"fails-{server.name}" in text for text in server.log.read_text().splitlines()) == 1


def test_an_exception_in_the_middle_of_a_stream_is_told_once(server: Server) -> None:
    labels = {"type": "RuntimeError", "endpoint": "/stream-fails/"}
    before = counted(server, "errors_total", **labels)

    with suppress(requests.RequestException):
        server.get("/stream-fails/", headers={"X-Correlation-ID": f"breaks-{server.name}"})

    line = server.line_of(f"breaks-{server.name}")
    assert (line["status"], line["level"]) == (500, "error")
    poll(lambda: counted(server, "errors_total", **labels) == before + 1, 5, "it was not counted")
    # The server speaks after us.
    server.get("/hello/")
    told = [line for line in server.log_lines() if "it broke in the middle" in str(line)]
    assert told == [line]


def test_a_streamed_answer_is_counted_with_its_bytes(server: Server) -> None:
    response = server.get("/stream/")

    line = server.line_of(response.headers["X-Correlation-ID"])
    assert (line["response_bytes"], line["db_queries"]) == (len(response.content), 5)


def test_the_metrics_port_serves_the_same(server: Server) -> None:
    def served() -> str:
        try:
            return requests.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=5).text
        except requests.ConnectionError:
            return ""

    assert "http_requests_total" in poll(served, 15, "the metrics port did not answer")


def test_health_answers_any_host_and_leaves_no_trace(server: Server) -> None:
    before = counted(server, "http_requests_in_progress", method="GET")

    ready = server.get("/health/ready", headers={"Host": "stranger.example"})

    assert ready.status_code == 200
    assert counted(server, "http_requests_in_progress", method="GET") == before == 0
    assert "/health/" not in server.scrape()
    assert not [line for line in server.log_lines() if "/health/" in str(line.get("path"))]


def test_no_line_escapes_as_plain_text(server: Server) -> None:
    if server.name == "runserver":
        pytest.skip("runserver greets on standard output, for the person who started it")
    assert all(line.startswith("{") for line in server.log.read_text().splitlines())


def test_what_opentelemetrys_callbacks_observe_is_summed_over_all_workers(server: Server) -> None:
    made = counted(server, "teas_total", **METER, kind="green")
    server.get("/tea/")

    poll(
        lambda: counted(server, "leaves_total", **METER) == 3 * (made + 1),
        20,
        "not every worker's callback was asked",
    )


def test_counters_survive_the_death_of_a_worker(server: Server) -> None:
    if WORKERS[server.name] == 1:
        pytest.skip("a single process has nobody to survive it")
    labels = {"method": "GET", "endpoint": "/hello/{name}/", "status": "200"}
    for _ in range(10):
        server.get("/hello/carla/")
    before = counted(server, "http_requests_total", **labels)
    cpu = counted(server, "process_cpu_seconds_total")
    victim = server.workers()[0]

    os.kill(victim, signal.SIGKILL)

    poll(
        lambda: victim not in server.workers() and len(server.workers()) == WORKERS[server.name],
        20,
        "no new worker came",
    )
    poll(lambda: server.get("/health/live").ok, 10, "the server did not answer")
    assert counted(server, "http_requests_total", **labels) >= before
    assert counted(server, "process_cpu_seconds_total") >= cpu
    assert counted(server, "process_workers") == WORKERS[server.name]


def test_the_metrics_only_port_answers_about_health(server: Server) -> None:
    def get(path: str, method: str = "GET") -> requests.Response:
        url = f"http://127.0.0.1:{server.metrics_port}{path}"
        return requests.request(method, url, timeout=10)

    def there() -> bool:
        with suppress(requests.ConnectionError):
            return get("/health/live").ok
        return False

    poll(there, 30, "the metrics-only port is not there")

    for path in ("/health/live", "/health/ready"):
        own, other = get(path), server.get(path)
        assert (own.status_code, own.json()) == (200, {"status": "ok"})
        assert (other.status_code, other.json()) == (200, {"status": "ok"})
        for answer in (own, other):
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"] == "application/json"
        assert get(path, "HEAD").content == b""
    assert get("/health/").status_code == 404


def test_every_answer_of_telemetry_is_nosniff(server: Server) -> None:
    for path in ("/metrics", "/health/live", "/health/ready"):
        for method in ("GET", "HEAD", "POST"):
            answer = requests.request(method, server.url(path), timeout=10)
            assert answer.headers["X-Content-Type-Options"] == "nosniff", (method, path)
