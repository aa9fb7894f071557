"""What waits to be exported is exported when a server stops, and when it recycles a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testing.servers import ROOT, Server, gunicorn, poll, uvicorn
from tests.telemetry.receiver import Receiver

pytestmark = pytest.mark.servers

REQUESTS = 30
SERVERS = {
    "gunicorn": gunicorn("gthread"),
    "gunicorn by the docs": gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py"),
    "uvicorn": uvicorn(workers=2),
    "uvicorn alone": uvicorn(workers=1),
    "uvicorn without our file": lambda port: uvicorn(workers=1)(port)[:-2],
}


def environment(database: str, receiver: Receiver) -> dict[str, str]:
    return {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        # Nothing is exported before the end.
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
    }


def traces(receiver: Receiver) -> list[str]:
    return [span.trace_id.hex() for span in receiver.spans if span.name == "GET /hello/"]


@pytest.mark.parametrize("name", SERVERS)
def test_spans_that_wait_are_exported_at_the_stop(
    name: str, receiver: Receiver, servers_database: str
) -> None:
    server = Server(SERVERS[name], environment(servers_database, receiver))
    try:
        asked = [server.get("/hello/").headers["X-Correlation-ID"] for _ in range(REQUESTS)]
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
    finally:
        server.stop()

    # The correlation ID of a request that brings none is its trace id.
    assert sorted(traces(receiver)) == sorted(asked)


def test_spans_of_the_sdk_wait_in_every_worker_and_keep_their_parents(
    receiver: Receiver, servers_database: str
) -> None:
    sdk = {"DJANGO_SETTINGS_MODULE": "tests.telemetry.site.sdk"}
    server = Server(gunicorn(workers=2), {**environment(servers_database, receiver), **sdk})
    asked: list[str] = []
    answering: set[str] = set()

    def both_workers_answered() -> bool:
        answer = server.get("/custom-span/")
        asked.append(answer.headers["X-Correlation-ID"])
        answering.add(answer.headers["X-Process"])
        return len(answering) == 2

    try:
        poll(both_workers_answered, 20, "one worker answered nothing")
        assert receiver.spans == []
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
    finally:
        server.stop()

    assert len(receiver.spans) == 3 * len(asked)
    for trace_id in asked:
        spans = {each.name: each for each in receiver.spans if each.trace_id.hex() == trace_id}
        assert sorted(spans) == ["GET /custom-span/", "SELECT auth_user", "custom"]
        assert spans["GET /custom-span/"].parent_span_id == b""
        assert spans["custom"].parent_span_id == spans["GET /custom-span/"].span_id
        assert spans["SELECT auth_user"].parent_span_id == spans["custom"].span_id
    # They are the SDK's: its encoder leaves out the trace flags.
    assert {span.flags & 0xFF for span in receiver.spans} == {0}


def test_spans_of_a_recycled_worker_are_exported(receiver: Receiver, servers_database: str) -> None:
    command = gunicorn("sync", workers=1)
    server = Server(
        lambda port: [*command(port), "--max-requests", "10"],
        environment(servers_database, receiver),
    )
    try:
        for _ in range(REQUESTS):
            server.get("/hello/")
        poll(lambda: len(traces(receiver)) >= REQUESTS - 10, 20, "no worker was recycled")
    finally:
        server.stop()


CHILDREN = """
import multiprocessing, sys
import django
import telemetry

def work():
    with telemetry.traced("child"):
        pass

if __name__ == "__main__":
    django.setup()
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


def test_spans_of_a_child_of_multiprocessing_are_exported(
    receiver: Receiver, servers_database: str, tmp_path: Path
) -> None:
    """It ends by os._exit, without what atexit knows."""
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)

    subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment(servers_database, receiver)},
        check=True,
        timeout=60,
    )

    assert [span.name for span in receiver.spans] == ["child"]
