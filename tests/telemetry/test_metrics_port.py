"""The metrics-only port listens where it is told to, on IPv4 and IPv6."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest
import requests

from telemetry.metrics.server import MetricsServer
from testing.postgres import free_port
from testing.servers import Server, gunicorn, poll
from tests.conftest import Lines

IPV4, IPV6 = "127.0.0.1", "[::1]"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    number = free_port()
    monkeypatch.setenv("PROMETHEUS_PORT", str(number))
    return number


@pytest.fixture
def listening() -> Iterator[MetricsServer]:
    server = MetricsServer()
    yield server
    if server._server is not None:
        server._server.shutdown()
        server._server.server_close()


def is_served(host: str, port: int) -> bool:
    try:
        answer = requests.get(f"http://{host}:{port}/metrics", timeout=5)
    except requests.ConnectionError:
        return False
    return "http_requests_total" in answer.text


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1", {IPV4}),
        ("0.0.0.0", {IPV4}),
        ("localhost", {IPV4}),
        ("::1", {IPV6}),
        ("[::1]", {IPV6}),
        ("::", {IPV4, IPV6}),
        ("[::]", {IPV4, IPV6}),
    ],
)
def test_it_is_served_where_it_should_be(
    listening: MetricsServer,
    port: int,
    host: str,
    served: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", host)

    listening.ensure()

    assert {address for address in (IPV4, IPV6) if is_served(address, port)} == served


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health/live", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/metrics", 501),
        ("<script>", "/", 501),
        ("GET", "/" + "a" * 70_000, 414),
    ],
)
def test_every_answer_says_nosniff(
    listening: MetricsServer, port: int, method: str, path: str, status: int
) -> None:
    listening.ensure()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)

    connection.putrequest(method, path)
    connection.endheaders()
    answer = connection.getresponse()

    assert answer.status == status
    assert answer.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    connection.close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "2001:db8::7", "a..b", "a" * 70])
def test_an_address_that_is_none_of_ours_is_one_warning(
    listening: MetricsServer,
    port: int,
    host: str,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Lines,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_PROMETHEUS_HOST", host)

    for _ in range(3):
        listening.ensure()

    (line,) = log_lines()
    assert line["level"] == "warning"
    assert host in line["message"]


@needs_ipv6
@pytest.mark.servers
def test_a_server_of_several_workers_serves_both(servers_database: str) -> None:
    server = Server(
        gunicorn(),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_EXPORTER_PROMETHEUS_HOST": "::",
        },
    )
    try:
        for host in (IPV4, IPV6):
            poll(lambda host=host: is_served(host, server.metrics_port), 15, f"{host} is silent")  # type: ignore[misc]
    finally:
        server.stop()
