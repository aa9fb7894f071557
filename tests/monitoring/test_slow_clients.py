"""Clients that send slowly, through the shipped proxy: they end, and nobody waits for them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from monitoring.production.make import make
from monitoring.render import HERE
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import Server, gunicorn, poll
from tests.expenses.service import LOGIN, seeded_database, start
from tools.local.parts import Part

pytestmark = pytest.mark.servers

#: More clients than the service has threads: two workers of four.
SLOW = 50
HEADER_SECONDS, BODY_SECONDS = 3, 5


@dataclass
class Proxied:
    api: Server
    port: int
    authority: Path

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    def get(self, path: str, **options: object) -> requests.Response:
        return requests.get(self.url(path), verify=str(self.authority), timeout=30, **options)  # type: ignore[arg-type]

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority))
        plain = socket.create_connection(("localhost", self.port), timeout=30)
        return context.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    program = find("caddy")
    if program is None:
        pytest.skip("not built: caddy (make tools)")
    base = tmp_path_factory.mktemp("slow")
    make(base / "secrets")
    api = start(gunicorn(workers=2), seeded_database("slow_clients"), METRICS_TOKEN="secret")
    port, health = free_port(), free_port()
    environment = {
        "HOME": str(base),
        "PROXY_SECRETS": str(base / "secrets/proxy"),
        "PROXY_API_PORT": str(port),
        "PROXY_GRAFANA_PORT": str(free_port()),
        "PROXY_JAEGER_PORT": str(free_port()),
        "PROXY_HEALTH_PORT": str(health),
        "PROXY_API": f"127.0.0.1:{api.port}",
        "PROXY_API_HEALTH_PORT": str(api.metrics_port),
        "PROXY_HEADER_TIMEOUT": f"{HEADER_SECONDS}s",
        "PROXY_BODY_TIMEOUT": f"{BODY_SECONDS}s",
    }
    command = [str(program), "run", "--config", str(HERE / "production/Caddyfile")]
    part = Part(
        "caddy",
        [*command, "--adapter", "caddyfile"],
        base / "caddy.log",
        f"http://127.0.0.1:{health}/health",
        environment,
    )
    part.start()
    try:
        assert part.wait_until_ready(30), part.last_words()
        poll(lambda: _listens(api.metrics_port), 30, "the metrics-only port is not there")
        yield Proxied(api, port, base / "secrets/ca.crt")
    finally:
        part.stop()
        api.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


HEAD = f"POST {LOGIN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW_CLIENTS = {
    "headers": (HEAD.encode(), HEADER_SECONDS),
    "body": (f"{HEAD}Content-Length: 1000\r\n\r\n".encode(), BODY_SECONDS),
    "chunks": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n3e8\r\n".encode(), BODY_SECONDS),
}


@pytest.mark.parametrize("kind", SLOW_CLIENTS)
def test_slow_clients_hold_nobody_up_and_end(proxied: Proxied, kind: str) -> None:
    begun, seconds = SLOW_CLIENTS[kind]
    with ExitStack() as stack:
        clients = [stack.enter_context(proxied.connect()) for _ in range(SLOW)]
        started = time.monotonic()
        for client in clients:
            client.sendall(begun)
        stop = threading.Event()
        trickle = threading.Thread(target=_trickle, args=(clients, stop))
        trickle.start()
        try:
            answers = []
            while time.monotonic() - started < seconds - 1:
                answers.append(proxied.get("/api/schema/"))
                time.sleep(0.2)
            ended = [_end(client) for client in clients]
        finally:
            stop.set()
            trickle.join()

    assert {answer.status_code for answer in answers} == {200}
    assert max(answer.elapsed.total_seconds() for answer in answers) < 3
    assert max(ended) - started < seconds + 5


def _trickle(clients: list[ssl.SSLSocket], stop: threading.Event) -> None:
    """A byte of a header, or of a body, for each client twice a second."""
    while not stop.wait(0.5):
        for client in clients:
            try:
                client.sendall(b"x")
            except OSError:
                continue


def _end(client: ssl.SSLSocket) -> float:
    """When the proxy closed the connection."""
    try:
        while client.recv(4096):
            pass
    except TimeoutError:
        return float("inf")
    except OSError:
        pass
    return time.monotonic()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_in_json(proxied: Proxied, *, chunked: bool) -> None:
    # Little enough to be on its way as a whole when the proxy refuses it and closes. Where it is
    # not, the client loses the end of the answer (RFC 9112, 9.6).
    body = b" " * (1100 * 1024)
    for _ in range(5):
        with suppress(requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            answer = requests.post(
                proxied.url(LOGIN),
                data=iter([body]) if chunked else body,
                headers={"Content-Type": "application/json"},
                verify=str(proxied.authority),
                timeout=30,
            )
            break
    else:
        pytest.fail("five answers in a row were lost")

    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.text)["status"] == 413


def test_the_health_check_of_the_proxy_is_the_metrics_only_port(proxied: Proxied) -> None:
    """The request threads are all busy, and the proxy still knows that the service lives."""

    def slow() -> None:
        requests.get(proxied.api.url("/api/v1/demo/faults/slow/?seconds=4"), timeout=60)

    def no_thread_is_free() -> bool:
        try:
            requests.get(proxied.api.url("/health/live"), timeout=1)
        except requests.Timeout:
            return True
        return False

    busy: list[threading.Thread] = []
    # One worker may take more of them than the other.
    while not no_thread_is_free():
        assert len(busy) < 80
        more = [threading.Thread(target=slow) for _ in range(16)]
        for thread in more:
            thread.start()
        busy += more
        time.sleep(0.5)

    metrics = requests.get(f"http://127.0.0.1:{proxied.api.metrics_port}/metrics", timeout=5)
    assert metrics.status_code == 401
    for path in ("/health/live", "/health/ready"):  # nobody needs the token for these
        answer = requests.get(f"http://127.0.0.1:{proxied.api.metrics_port}{path}", timeout=5)
        assert answer.status_code == 200

    poll(lambda: not any(thread.is_alive() for thread in busy), 90, "requests did not end")
    assert proxied.get("/api/schema/").status_code == 200
