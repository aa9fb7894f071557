"""What waits to be exported is exported when a server stops, and when it recycles a worker."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from scripts.servers import Server, gunicorn, poll, uvicorn

pytestmark = pytest.mark.servers

REQUESTS = 30
SERVERS = {
    "gunicorn": gunicorn("gthread"),
    "gunicorn by the docs": gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py"),
    "uvicorn": uvicorn(workers=2),
    "uvicorn alone": uvicorn(workers=1),
    "uvicorn without our file": lambda port: uvicorn(workers=1)(port)[:-2],
}


class Receiver(ThreadingHTTPServer):
    """Keeps the trace ids of server spans."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.traces: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.traces += [
                    span.trace_id.hex() for span in scope.spans if span.name == "GET /hello/"
                ]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """A receiver says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


def environment(database: str, receiver: Receiver) -> dict[str, str]:
    return {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.server_address[1]}",
        # Nothing is exported before the end.
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
    }


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
    assert sorted(receiver.traces) == sorted(asked)


def test_spans_of_a_recycled_worker_are_exported(receiver: Receiver, servers_database: str) -> None:
    command = gunicorn("sync", workers=1)
    server = Server(
        lambda port: [*command(port), "--max-requests", "10"],
        environment(servers_database, receiver),
    )
    try:
        for _ in range(REQUESTS):
            server.get("/hello/")
        poll(lambda: len(receiver.traces) >= REQUESTS - 10, 20, "no worker was recycled")
    finally:
        server.stop()
