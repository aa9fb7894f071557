"""Clients that go away in the middle, over real sockets: a status of their own and no traceback."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from testing.servers import Server, gunicorn, poll, uvicorn
from tests.conftest import samples

pytestmark = pytest.mark.servers

SITE = "tests.telemetry.site"
#: With a middleware that is sync only below telemetry's, and with none.
SERVERS = {
    "uvicorn": (uvicorn(workers=1), f"{SITE}.settings"),
    "uvicorn-async": (uvicorn(workers=1), f"{SITE}.asynchronous"),
    "gunicorn": (gunicorn("gthread", workers=1), f"{SITE}.settings"),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    command, settings = SERVERS[request.param]
    started = Server(
        command,
        {"DATABASE_URL": servers_database, "DJANGO_SETTINGS_MODULE": settings},
        name=request.param,
    )
    yield started
    started.stop()


def go_away(server: Server, path: str, correlation_id: str, *, read: int = 0) -> None:
    """Send a request, read that much of the answer, and be gone."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Correlation-ID: {correlation_id}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request.encode())
        while read > 0:
            read -= len(connection.recv(65536))
        if not read:
            # The view says so when it was reached.
            server.line_of(correlation_id, "tests.site")
        # No farewell: the server's next write fails, as with a browser that was closed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def told(server: Server, correlation_id: str, endpoint: str, method: str = "GET") -> dict[str, Any]:
    """The request's line, after its 499 was counted and nothing was said about an error."""
    line: dict[str, Any] = poll(
        lambda: next(
            (
                line
                for line in server.log_lines()
                if line.get("correlation_id") == correlation_id
                and line["logger"] == "telemetry.request"
            ),
            None,
        ),
        30,
        "no line",
    )
    counted = samples(server.scrape())
    labels = {"method": method, "endpoint": endpoint, "status": "499"}
    assert counted[("http_requests_total", frozenset(labels.items()))] == 1
    assert not [labels for (name, labels), n in counted.items() if name == "errors_total" and n]
    assert not [
        text
        for text in server.log.read_text().splitlines()
        if not text.startswith("{") or "Traceback" in text or '"exception"' in text
    ]
    assert not [line for line in server.log_lines() if line["level"] in {"error", "critical"}]
    assert counted[("http_requests_in_progress", frozenset({("method", method)}))] == 0
    return line


def only_uvicorn(server: Server) -> None:
    if server.name == "gunicorn":
        pytest.skip("a server of threads does not notice before it writes")


def test_an_asynchronous_view_that_is_cancelled(server: Server) -> None:
    only_uvicorn(server)
    go_away(server, "/slow-async/?seconds=60", "gone-async")

    line = told(server, "gone-async", "/slow-async/")

    assert (line["status"], line["level"]) == (499, "info")


def test_a_synchronous_view_whose_client_is_gone(server: Server) -> None:
    only_uvicorn(server)
    go_away(server, "/slow/?seconds=0.5", "gone-sync")

    assert told(server, "gone-sync", "/slow/")["status"] == 499


def test_a_stream_that_nobody_reads_further(server: Server) -> None:
    # Each server reads the other kind of stream to its end before it sends a byte.
    path = "/stream-slowly-async/" if server.name != "gunicorn" else "/stream-slowly/"
    go_away(server, path, "gone-stream", read=150_000)

    line = told(server, "gone-stream", path)

    assert line["status"] == 499
    assert 100_000 <= line["response_bytes"] < 30_000_000


def test_a_body_in_the_middle_of_which_the_client_is_gone(server: Server) -> None:
    """No error of the server, which a stranger could make as many of as they like."""
    if server.name != "gunicorn":
        pytest.skip("a server of ASGI begins no request whose body does not arrive")
    head = (
        "POST /upload/ HTTP/1.1\r\nHost: localhost\r\nX-Correlation-ID: gone-upload\r\n"
        "Content-Length: 1000\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"x" * 100)
        server.line_of("gone-upload", "tests.site")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    line = told(server, "gone-upload", "/upload/", "POST")

    assert (line["status"], line["level"]) == (499, "info")
