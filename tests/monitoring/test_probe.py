"""The probe as a process, against the API under gunicorn and against servers that misbehave."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
import pytest
import requests

from monitoring import probe as module
from monitoring.render import HERE
from testing.postgres import free_port
from testing.servers import ROOT, Server, gunicorn, make_database, poll
from tools.local.parts import end_with_parent

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

TOKEN = "probe-" + "t" * 40
#: Check and value by metric.
Scrape = dict[str, dict[str, float]]


@contextmanager
def probing(target: str, **variables: str) -> Iterator[Callable[[], Scrape]]:
    """A running probe of a target; calling what is yielded scrapes it."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, str(HERE / "probe.py"), "--port", str(port)],
        env={**os.environ, "PROBE_TARGETS": target, "LOGIN_PROBE_TOKEN": TOKEN, **variables},
        preexec_fn=end_with_parent,  # noqa: PLW1509  no thread runs in it
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(address, timeout=5).status_code == 200
        return False

    def scrape() -> Scrape:
        text = requests.get(f"{address}/metrics", timeout=15).text
        found: Scrape = {}
        for metric, check, value in re.findall(
            r'^(\w+)\{target="[^"]+",check="(\w+)"\} (\S+)$', text, re.MULTILINE
        ):
            found.setdefault(metric, {})[check] = float(value)
        return found

    try:
        poll(answers, 20, "the probe did not start")
        yield scrape
    finally:
        process.terminate()
        process.wait(10)


@dataclass
class Api:
    server: Server
    database: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def login(self, name: str, password: str) -> requests.Response:
        sent = {"username": name, "password": password}
        return requests.post(f"{self.address}/api/v1/auth/login/", json=sent, timeout=20)

    def tokens(self) -> int:
        with psycopg.connect(self.database) as connection:
            row = connection.execute("SELECT count(*) FROM knox_authtoken").fetchone()
        return int(row[0]) if row else -1


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    database = make_database("probe", "config.settings")
    variables = {"DATABASE_URL": database, "LOGIN_PROBE_TOKEN": TOKEN}
    subprocess.run(
        [sys.executable, "manage.py", "probe_account"],
        cwd=ROOT,
        env={**os.environ, **variables},
        check=True,
    )
    server = Server(gunicorn(), variables)
    try:
        yield Api(server, database)
    finally:
        server.stop()


def test_it_logs_in_and_revokes_its_token_each_time(api: Api) -> None:
    with probing(api.address) as scrape:
        for _ in range(3):
            found = scrape()

    assert found["probe_success"] == {"readiness": 1, "login": 1}
    assert found["probe_http_status_code"] == {"readiness": 200, "login": 204}
    assert 0 < found["probe_duration_seconds"]["login"] < module.DEADLINE
    assert api.tokens() == 0


def test_throttles_leave_it_alone_and_nobody_else(api: Api) -> None:
    for number in range(31):
        api.login(f"guess{number}", "wrong")
    assert api.login("somebody", "wrong").status_code == 429
    # Its name alone opens nothing.
    assert api.login("probe", "wrong").status_code == 429

    with probing(api.address) as scrape:
        assert scrape()["probe_success"] == {"readiness": 1, "login": 1}

    assert api.login("somebody", "wrong").status_code == 429


def test_its_account_may_log_in_and_out_and_nothing_else(api: Api) -> None:
    headers = {"X-Login-Probe": TOKEN}
    sent = {"username": "probe", "password": TOKEN}
    answer = requests.post(
        f"{api.address}/api/v1/auth/login/", json=sent, headers=headers, timeout=20
    )
    token = {"Authorization": f"Token {answer.json()['token']}"}

    def status(method: str, path: str) -> int:
        url = f"{api.address}{path}"
        return requests.request(method, url, json={}, headers=token, timeout=20).status_code

    asked = [
        status(method, f"/api/v1/{path}/")
        for path in ("expenses", "categories", "expenses/1", "categories/1")
        for method in ("GET", "POST")
    ]
    assert set(asked) == {403}
    assert status("POST", "/api/v1/auth/logout/") == 204
    assert status("GET", "/api/v1/expenses/") == 401


def test_a_login_that_fails_is_told(api: Api) -> None:
    with probing(api.address, LOGIN_PROBE_TOKEN="another" * 6) as scrape:
        found = scrape()

    assert found["probe_success"] == {"readiness": 1, "login": 0}
    assert found["probe_http_status_code"]["login"] in {401, 429}


def test_without_a_token_it_asks_for_readiness_alone(api: Api) -> None:
    with probing(api.address, LOGIN_PROBE_TOKEN="") as scrape:
        assert scrape()["probe_success"] == {"readiness": 1}


def test_nobody_there_is_a_failure() -> None:
    with probing(f"http://127.0.0.1:{free_port()}") as scrape:
        found = scrape()

    assert found["probe_success"] == {"readiness": 0, "login": 0}
    assert found["probe_http_status_code"] == {"readiness": 0, "login": 0}


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that treats each connection as ``answer`` does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65536)
            answer(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=[connection], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: a\r\n")
        time.sleep(0.2)


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def silent(_connection: socket.socket) -> None:
    time.sleep(30)


def nonsense(connection: socket.socket) -> None:
    connection.sendall(b"220 not HTTP\r\n")


def no_json(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")


def odd_token(connection: socket.socket) -> None:
    body = b'{"token": "a\\r\\nX-Evil: 1"}'
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@pytest.mark.parametrize("answer", [drip, endless, silent, nonsense, no_json, odd_token])
def test_a_server_that_misbehaves_is_a_failure_in_time(
    answer: Callable[[socket.socket], None],
) -> None:
    with serving(answer) as target, probing(target) as scrape:
        began = time.monotonic()
        found = scrape()

    assert found["probe_success"]["login"] == 0
    # Prometheus gives up after ten.
    assert time.monotonic() - began < module.DEADLINE + 1.5


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"PROBE_TARGETS": ""}, "PROBE_TARGETS"),
        ({"PROBE_TARGETS": "127.0.0.1:8080"}, "PROBE_TARGETS"),
        ({"PROBE_TARGETS": "http://a:99999"}, "PROBE_TARGETS"),
        ({"PROBE_TARGETS": "https://a", "PROBE_CA_FILE": "/nowhere"}, "PROBE_CA_FILE"),
        ({"PROBE_TARGETS": "http://a", "LOGIN_PROBE_TOKEN": "a\nb"}, "LOGIN_PROBE_TOKEN"),
    ],
)
def test_a_wrong_variable_stops_it_by_name(variables: dict[str, str], named: str) -> None:
    result = subprocess.run(
        [sys.executable, str(HERE / "probe.py"), "--port", str(free_port())],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert result.returncode == 1
    assert named in result.stderr
    assert len(result.stderr.splitlines()) == 1
