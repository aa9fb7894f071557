"""gunicorn's gevent worker with the documented hooks: every request answered and counted once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from telemetry import greenlets
from testing.servers import Server, gunicorn, poll
from tests.conftest import samples
from tests.telemetry.receiver import Receiver
from tests.telemetry.test_masters import end, masters, upgrade

pytestmark = pytest.mark.servers

CONFIGURATIONS = {
    "the hooks alone": "tests/telemetry/site/gunicorn.conf.py",
    "preloaded": "config/gunicorn.conf.py",
    "Django imported first": "tests/telemetry/site/imports_django.conf.py",
}


@pytest.fixture(params=CONFIGURATIONS)
def server(
    request: pytest.FixtureRequest, servers_database: str, receiver: Receiver
) -> Iterator[Server]:
    started = Server(
        gunicorn("gevent", settings=CONFIGURATIONS[request.param]),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        },
    )
    yield started
    started.stop()


def test_requests_at_once_are_answered_and_counted_once(server: Server, receiver: Receiver) -> None:
    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(lambda _number: server.get("/query/"), range(120)))
        slow = [f"slow-{number}" for number in range(20)]
        list(
            clients.map(
                lambda name: server.get("/slow/?seconds=0.3", headers={"X-Correlation-ID": name}),
                slow,
            )
        )

    assert Counter(answer.status_code for answer in answers) == {200: 120}
    found = samples(server.scrape())

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert value("http_requests_total", method="GET", endpoint="/query/", status="200") == 120
    assert value("database_queries_total", operation="SELECT", table="auth_user") == 120
    assert value("http_requests_in_progress", method="GET") == 0
    assert value("process_workers") == value("process_worker_starts_total") == 2
    # Each greenlet has a request of its own: a line inside the view has its ids and no other's.
    for name in slow:
        assert server.line_of(name, "tests.site")["trace_id"] == server.line_of(name)["trace_id"]

    server.stop()

    names = Counter(span.name for span in receiver.spans)
    assert (names["GET /query/"], names["SELECT auth_user"], names["GET /slow/"]) == (120, 120, 20)
    assert not [line for line in server.log_lines() if line["level"] in {"warning", "error"}]


def test_what_runs_beside_the_requests(server: Server) -> None:
    def memory() -> float:
        name = "process_resident_memory_bytes"
        return samples(server.scrape()).get((name, frozenset()), 0.0)

    assert poll(memory, 20, "memory was not measured") > 20e6
    # The metrics-only port answers while every greenlet of the service waits.
    with ThreadPoolExecutor(10) as clients:
        waiting = [clients.submit(server.get, "/slow/?seconds=2") for _ in range(10)]
        poll(
            lambda: (
                server.session.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=1).ok
            ),
            15,
            "the metrics-only port did not answer",
        )
        assert {future.result().status_code for future in waiting} == {200}


@pytest.mark.parametrize(
    "program", [["-m", "gunicorn"], [str(Path(sys.executable).with_name("gunicorn"))]]
)
def test_an_upgrade_starts_a_master_that_is_patched(
    servers_database: str, program: list[str]
) -> None:
    server = Server(
        lambda port: [
            sys.executable,
            *program,
            *gunicorn("gevent", settings="config/gunicorn.conf.py")(port)[3:],
            "--no-control-socket",
        ],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        },
    )
    try:
        for _ in range(10):
            server.get("/query/")
        (first,) = masters(server)
        upgrade(server, first, 1)
        end(server, first)
        with ThreadPoolExecutor(5) as clients:
            answers = list(clients.map(lambda _number: server.get("/query/"), range(30)))
        found = samples(server.scrape())
    finally:
        server.stop()

    assert {answer.status_code for answer in answers} == {200}
    queries = frozenset({"operation": "SELECT", "table": "auth_user"}.items())
    assert found["database_queries_total", queries] == 40
    assert not [line for line in server.log_lines() if line["level"] == "error"]


@pytest.mark.parametrize(
    ("original", "arguments", "expected"),
    [
        (
            ["python", "-m", "gunicorn", "-c", "a.py", "app"],
            ["/lib/gunicorn/__main__.py", "-c", "a.py", "app"],
            ["-m", "gevent.monkey", "--module", "gunicorn", "-c", "a.py", "app"],
        ),
        (
            ["python", "-X", "dev", "/bin/gunicorn", "-m", "006", "app"],
            ["/bin/gunicorn", "-m", "006", "app"],
            ["-X", "dev", "-m", "gevent.monkey", "/bin/gunicorn", "-m", "006", "app"],
        ),
        (
            ["python", "-Wd", "-m", "gunicorn"],
            ["/lib/gunicorn/__main__.py"],
            ["-Wd", "-m", "gevent.monkey", "--module", "gunicorn"],
        ),
    ],
)
def test_the_same_program_starts_again(
    original: list[str], arguments: list[str], expected: list[str]
) -> None:
    assert greenlets.command(sys.executable, original, arguments) == [sys.executable, *expected]
