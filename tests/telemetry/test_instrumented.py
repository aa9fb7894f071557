"""A server under ``opentelemetry-instrument``: the spans are theirs, everything else is ours."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.servers import Server, gunicorn, poll, uvicorn
from tests.conftest import samples
from tests.telemetry.receiver import Receiver

pytestmark = pytest.mark.servers


@pytest.fixture
def server(receiver: Receiver, servers_database: str) -> Iterator[Server]:
    command = gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py")
    started = Server(
        lambda port: [
            str(Path(sys.executable).parent / "opentelemetry-instrument"),
            str(Path(sys.executable).parent / "gunicorn"),
            *command(port)[3:],
        ],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        },
    )
    yield started
    started.stop()


def test_their_spans_our_ids_lines_and_metrics(server: Server, receiver: Receiver) -> None:
    answer = server.get("/query/", headers={"X-Correlation-ID": "chosen-1"})

    line = server.line_of("chosen-1")
    assert answer.headers["X-Correlation-ID"] == "chosen-1"
    assert (line["status"], line["db_queries"]) == (200, 1)

    def of_the_trace() -> list[str]:
        found = [span for span in receiver.spans if span.trace_id.hex() == line["trace_id"]]
        return sorted(span.name for span in found)

    poll(lambda: len(of_the_trace()) >= 2, 20, "no spans came")
    assert of_the_trace() == ["GET query/", "SELECT"]
    labels = {"method": "GET", "endpoint": "/query/", "status": "200"}
    assert samples(server.scrape())["http_requests_total", frozenset(labels.items())] == 1


def test_an_idle_worker_exports_nothing(server: Server, receiver: Receiver) -> None:
    """An export is a call of ``requests`` too: of one that made a span there would be no end."""
    server.get("/hello/")
    poll(lambda: receiver.spans != [], 20, "no spans came")
    time.sleep(0.5)
    before = [span.name for span in receiver.spans]

    # Twenty times the delay of the export.
    time.sleep(2)

    assert [span.name for span in receiver.spans] == before
    assert not [name for name in before if name.startswith("POST")]


def test_scrapes_and_health_checks_are_served_for_any_host_and_have_no_spans(
    server: Server, receiver: Receiver
) -> None:
    assert_own_paths_are_left_alone(server, receiver)


def assert_own_paths_are_left_alone(server: Server, receiver: Receiver, apart: str = "") -> None:
    for path in ("/metrics", "/health/live", "/health/ready"):
        for host in ("localhost", "10.1.2.3:8080"):
            assert server.get(path, headers={"Host": host}).status_code == 200, (path, host)

    server.get("/missing/")

    def names() -> set[str]:
        # A connection that the pool makes sets its time zone, in a trace of theirs.
        return {
            span.name
            for span in receiver.spans
            if span.trace_id.hex() != apart and b"set_config" not in span.SerializeToString()
        }

    poll(lambda: names() != set(), 20, "no spans came")
    # Under ASGI their middleware, which is sync only, leaves the span to us.
    assert names() <= {"GET missing/", "GET /missing/"}


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
def test_paths_that_they_exclude_and_hosts_that_are_refused(
    receiver: Receiver, servers_database: str, kind: str
) -> None:
    server = Server(
        gunicorn("sync") if kind == "gunicorn" else uvicorn(workers=1),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.contrib",
            "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": "hello,query",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        },
    )
    try:
        refused = server.get(
            "/missing/", headers={"Host": "evil.example", "X-Correlation-ID": "evil"}
        )
        evil = server.line_of("evil")
        secret = {"User-Agent": "probe token=hunter2", "X-Correlation-ID": "secret"}
        server.get("/missing/?password=hunter2&page=2", headers=secret)
        trace = server.line_of("secret")["trace_id"]
        for path in ("/hello/", "/query/"):
            server.get(path, headers={"X-Correlation-ID": f"of-{path.strip('/')}"})
        lines = [server.line_of(f"of-{name}") for name in ("hello", "query")]
        assert_own_paths_are_left_alone(server, receiver, apart=evil["trace_id"])
        labels = {"method": "GET", "endpoint": "/query/", "status": "200"}
        scrape = server.scrape()
        counted = samples(scrape)["http_requests_total", frozenset(labels.items())]
        (masked,) = [span for span in receiver.spans if span.trace_id.hex() == trace]
    finally:
        server.stop()

    # Of them the metrics would have labels that a client chooses.
    assert "evil.example" not in scrape
    assert b"hunter2" not in masked.SerializeToString()
    assert b"page=2" in masked.SerializeToString()
    assert (refused.status_code, evil["status"]) == (400, 400)
    assert "evil.example" in evil["reason"]
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert {(line["status"], len(line["trace_id"])) for line in lines} == {(200, 32)}
    assert counted == 1
