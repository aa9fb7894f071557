"""A worker's memory stays flat over requests of which no two are alike: no cache without a bound.

``MEMORY_REQUESTS=200000`` is the full size; ``make soak`` measures it on the service itself.
"""

from __future__ import annotations

import http.client
import os
import random
from contextlib import closing

import pytest

from telemetry import processes
from testing.servers import Server, gunicorn, uvicorn

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]

REQUESTS = int(os.environ.get("MEMORY_REQUESTS", "2000"))
#: Bytes that a request may leave on average: caches fill up to their bounds, 300 bytes for each of
#: the first thousands. A request that is kept, or its work with its spans, has several kilobytes.
LEFT_BY_A_REQUEST = 1000

SERVERS = {
    "gunicorn": gunicorn(workers=1),
    "uvicorn": uvicorn(workers=1),
}
PATHS = ["/hello/{}/", "/{}/", "/query/?{}", "/custom-span/", "/stream/", "/fail/", "/async/7/"]


@pytest.mark.parametrize("name", SERVERS)
def test_memory_is_flat(name: str, servers_database: str) -> None:
    server = Server(
        SERVERS[name],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            # Datagrams to nobody: every span is made and sent.
            "OTEL_TRACES_EXPORTER": "jaeger",
            "JAEGER_AGENT_PORT": "9",
        },
    )
    try:
        source = random.Random(2026)
        with closing(
            http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        ) as connection:
            # Caches that have a bound are filled first, as far as this many requests fill them.
            for _ in range(REQUESTS):
                send(connection, source)
            before = resident(server)
            for _ in range(REQUESTS):
                send(connection, source)
            after = resident(server)
    finally:
        server.stop()

    assert (after - before) / REQUESTS < LEFT_BY_A_REQUEST


def resident(server: Server) -> int:
    """Of the process that answers: the only child, or the server itself."""
    pid = (processes.children(server.process.pid) or [server.process.pid])[0]
    found = processes.stat(pid)
    assert found is not None
    return found.resident_bytes


def send(connection: http.client.HTTPConnection, source: random.Random) -> None:
    word = f"{source.getrandbits(64):x}"
    headers = {
        "X-Correlation-ID": word,
        "User-Agent": word,
        "Traceparent": f"00-{source.getrandbits(128):032x}-{source.getrandbits(64):016x}-01",
    }
    connection.request("GET", source.choice(PATHS).format(word), headers=headers)
    connection.getresponse().read()
