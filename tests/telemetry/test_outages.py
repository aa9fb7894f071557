"""What telemetry leans on is away, hangs or is wrong: requests do not notice, the start says so."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from testing.postgres import free_port
from testing.servers import ROOT, Server, gunicorn, poll
from tests.conftest import samples

pytestmark = pytest.mark.servers

SITE = {"DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings"}


@pytest.fixture(scope="module")
def hanging() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield listening.getsockname()[1]


@pytest.fixture(scope="module", params=["away", "hanging"])
def server(request: pytest.FixtureRequest, hanging: int, servers_database: str) -> Iterator[Server]:
    port = hanging if request.param == "hanging" else free_port()
    environment = {
        **SITE,
        "DATABASE_URL": servers_database,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BSP_MAX_QUEUE_SIZE": "10",
        "OTEL_BSP_EXPORT_TIMEOUT": "1000",
    }
    started = Server(gunicorn(workers=1), environment, request.param)
    yield started
    started.stop()


def dropped(server: Server) -> float:
    return sum(
        value
        for (name, _), value in samples(server.scrape()).items()
        if name == "telemetry_spans_dropped_total"
    )


def test_requests_do_not_notice_and_what_is_lost_is_counted(server: Server) -> None:
    durations = []
    for _ in range(60):
        started = time.perf_counter()
        assert server.get("/query/").status_code == 200
        durations.append(time.perf_counter() - started)

    # Who waited for the exporter would have waited for its timeout of a second.
    assert sorted(durations)[30] < 1
    poll(lambda: dropped(server) > 0, 15, "nothing was counted as dropped")


def test_it_is_said_once(server: Server) -> None:
    def said() -> list[str]:
        return [
            line["message"]
            for line in server.log_lines()
            if line["level"] == "warning" and "spans could not be exported" in line["message"]
        ]

    poll(said, 15, "nobody said it")
    server.get("/query/")
    assert len(said()) == 1


def test_the_stop_does_not_wait_for_ever(server: Server) -> None:
    server.get("/query/")
    started = time.monotonic()

    server.process.terminate()

    server.process.wait(8)
    assert time.monotonic() - started < 8


def test_a_service_without_its_database_lives_but_is_not_ready() -> None:
    nobody = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    server = Server(gunicorn(workers=1), {**SITE, "DATABASE_URL": nobody})
    try:
        started = time.monotonic()
        ready = server.get("/health/ready")

        assert ready.status_code == 503
        assert ready.json()["detail"].startswith("the database does not answer")
        assert "Retry-After" in ready.headers
        assert time.monotonic() - started < 5
        assert server.get("/health/live").status_code == 200
    finally:
        server.stop()


def test_a_service_whose_migrations_are_not_applied_is_not_ready() -> None:
    # The session's own database: pytest migrates another one.
    server = Server(gunicorn(workers=1), SITE)
    try:
        assert "migrations are not applied" in server.get("/health/ready").json()["detail"]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("PROMETHEUS_PORT", "eighty"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("WEB_CONCURRENCY", "1000"),
        ("JAEGER_AGENT_PORT", "99999"),
        ("DEMO", "perhaps"),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_line_that_names_it(
    name: str, value: str
) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.conf.py", "config.wsgi"],
        cwd=ROOT,
        env={**os.environ, "GUNICORN_CMD_ARGS": "--bind 127.0.0.1:0", name: value},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert result.returncode != 0
    assert name in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


HOSTILE = {
    "a broken traceparent": {"traceparent": "00-zz-zz-zz"},
    "a correlation ID of 10 kB": {"X-Correlation-ID": "a" * 7000},
    "a correlation ID with markup": {"X-Correlation-ID": "<script>alert(1)</script>"},
    "a hostile Host": {"Host": "evil.example"},
    "a Host that is none": {"Host": "a b\\c"},
}


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_headers_are_answered_by_one_line_and_repeated_nowhere(
    healthy: Server, headers: dict[str, str]
) -> None:
    response = healthy.get("/hello/", headers=headers)

    assert response.status_code in {200, 400}
    correlation_id = response.headers["X-Correlation-ID"]
    assert re.fullmatch("[0-9a-f]{32}", correlation_id)
    line = healthy.line_of(correlation_id)
    assert "exception" not in line
    if "X-Correlation-ID" in headers:
        assert headers["X-Correlation-ID"] not in healthy.log.read_text()


@pytest.fixture(scope="module")
def healthy(servers_database: str) -> Iterator[Server]:
    started = Server(gunicorn(workers=1), {**SITE, "DATABASE_URL": servers_database})
    yield started
    started.stop()
