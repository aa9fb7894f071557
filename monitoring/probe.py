"""Log in to the API from outside, and out again, whenever Prometheus asks.

Nights without traffic have no failed requests to count; this makes a request of each kind that
matters and says whether it succeeded. Python's standard library alone, so that the compose files
run it in a plain image.

    PROBE_TARGETS=http://127.0.0.1:8080 python probe.py [--host 127.0.0.1] [--port 9115]

``GET /metrics`` asks each target, and answers with these series of each:

- ``probe_success{target, check}``: 1 or 0. ``check="readiness"`` is ``/health/ready``;
  ``check="login"`` is a login, and the logout that revokes the token of it, within ``DEADLINE``.
- ``probe_duration_seconds{target, check}``: how long the check took.
- ``probe_http_status_code{target, check}``: the last status of the check, 0 without an answer.

Variables: ``PROBE_TARGETS``, base addresses separated by commas, each with a name before it if it
is not known by its host and port (``api:8080=https://proxy:8443``). ``LOGIN_PROBE_TOKEN``, the same
as the API's, is the password of its user ``LOGIN_PROBE_USERNAME`` (``probe``) and shows the login
throttle who asks; without it there is no login. ``PROBE_HOST``: the name under which the API is
asked and its certificate is checked, where that is not the address. ``PROBE_CA_FILE``: the
authority of that certificate.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: Seconds that a check may take in all; less than Prometheus' limit for a scrape.
DEADLINE = 8.0
#: Of an answer no more is read.
_LARGEST_ANSWER = 64 * 1024
_HELP = {
    "probe_success": "1 if the check succeeded, else 0.",
    "probe_duration_seconds": "How long the check took.",
    "probe_http_status_code": "The last HTTP status of the check, 0 without an answer.",
}


class WrongVariableError(ValueError):
    """A variable that cannot be used; the message names it."""


class FailedError(Exception):
    """A check did not get what it expected."""


@dataclass(frozen=True)
class Target:
    """One API: its name in the series, and where and how it is asked."""

    name: str
    host: str
    port: int
    #: None for plain HTTP.
    tls: ssl.SSLContext | None
    #: Name for the header Host and the certificate.
    asked_as: str


@dataclass(frozen=True)
class Account:
    name: str
    token: str


class Exchange:
    """Requests of one check, which have a deadline together. Not for two threads."""

    def __init__(self, target: Target, deadline: float) -> None:
        self.target = target
        self.deadline = deadline
        self.status = 0

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> bytes:
        """The body of an answer of 2xx. Raises FailedError, OSError or HTTPException."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise FailedError("the deadline has passed")
        target = self.target
        # A drop at a time would keep a socket's own timeout from ever passing.
        connected = socket.create_connection((target.host, target.port), timeout=left)
        timer = threading.Timer(left, _shut, [connected])
        timer.daemon = True
        timer.start()
        try:
            if target.tls is not None:
                connected = target.tls.wrap_socket(connected, server_hostname=target.asked_as)
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.sock = connected
            everything = {"Host": target.asked_as, "User-Agent": "probe", "Connection": "close"}
            connection.request(method, path, body, everything | headers)
            answer = connection.getresponse()
            self.status = answer.status
            content = answer.read(_LARGEST_ANSWER)
        finally:
            timer.cancel()
            connected.close()
        if not 200 <= answer.status < 300:
            raise FailedError(f"{method} {path} answered {answer.status}")
        return content


def _shut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def readiness(exchange: Exchange) -> None:
    exchange.ask("GET", "/health/ready", {})


def login(account: Account) -> Callable[[Exchange], None]:
    """A check that logs in, and revokes its token whatever happens after that."""

    def check(exchange: Exchange) -> None:
        headers = {"Content-Type": "application/json", "X-Login-Probe": account.token}
        sent = json.dumps({"username": account.name, "password": account.token}).encode()
        answer = json.loads(exchange.ask("POST", "/api/v1/auth/login/", headers, sent))
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isalnum():
            raise FailedError("the login gave no token")
        exchange.ask("POST", "/api/v1/auth/logout/", {"Authorization": f"Token {token}"}, b"")

    return check


class Probe:
    """The checks of all targets, asked again at each scrape."""

    def __init__(self, targets: list[Target], account: Account | None) -> None:
        self.targets = targets
        self.checks: dict[str, Callable[[Exchange], None]] = {"readiness": readiness}
        if account is not None:
            self.checks["login"] = login(account)
        # Two Prometheus may ask at once.
        workers = 2 * len(targets) * len(self.checks)
        self._pool = ThreadPoolExecutor(max_workers=workers)
        #: What a check said last, so that the log has a line for a change and no other.
        self._said: dict[tuple[str, str], str] = {}

    def metrics(self) -> str:
        """The series in Prometheus' text format."""
        deadline = time.monotonic() + DEADLINE
        running = [
            (target, name, self._pool.submit(self._run, target, name, check, deadline))
            for target in self.targets
            for name, check in self.checks.items()
        ]
        values = [(target.name, name, future.result()) for target, name, future in running]
        lines = []
        for number, (metric, text) in enumerate(_HELP.items()):
            lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
            lines += [
                f'{metric}{{target="{target}",check="{check}"}} {found[number]:.12g}'
                for target, check, found in values
            ]
        return "\n".join([*lines, ""])

    def _run(
        self, target: Target, name: str, check: Callable[[Exchange], None], deadline: float
    ) -> tuple[float, float, float]:
        began = time.monotonic()
        exchange = Exchange(target, deadline)
        said = "succeeds"
        try:
            check(exchange)
        except (FailedError, OSError, http.client.HTTPException, ValueError) as error:
            said = f"fails: {error}"
        if self._said.get((target.name, name), "succeeds") != said:
            print(f"{name} of {target.name} {said}", flush=True)
        self._said[target.name, name] = said
        return float(said == "succeeds"), time.monotonic() - began, float(exchange.status)


def targets(text: str, asked_as: str, authority: str) -> list[Target]:
    """The targets of ``PROBE_TARGETS``. Raises WrongVariableError."""
    found = []
    for word in text.split(","):
        name, equals, address = word.strip().rpartition("=")
        try:
            parts = urlsplit(address)
            port = parts.port or {"http": 80, "https": 443}[parts.scheme]
            host = parts.hostname
        except (ValueError, KeyError):
            host = None
        if not host or parts.path not in {"", "/"} or parts.query or parts.username:
            raise WrongVariableError(
                f"PROBE_TARGETS must be addresses like http://127.0.0.1:8080, not {word.strip()!r}"
            )
        tls = None
        if parts.scheme == "https":
            try:
                tls = ssl.create_default_context(cafile=authority or None)
                # A certificate of one's own may be one of a public authority.
                tls.load_default_certs()
            except (OSError, ssl.SSLError) as error:
                raise WrongVariableError(f"PROBE_CA_FILE {authority}: {error}") from None
        label = (name if equals else f"{host}:{port}").replace("\\", "").replace('"', "")
        found.append(Target(label, host, port, tls, asked_as or host))
    return found


def from_environment() -> Probe:
    """Raises WrongVariableError."""
    given = os.environ
    token = given.get("LOGIN_PROBE_TOKEN", "")
    if not (token.isascii() and token.isprintable()):
        raise WrongVariableError("LOGIN_PROBE_TOKEN must be printable ASCII")
    account = Account(given.get("LOGIN_PROBE_USERNAME") or "probe", token) if token else None
    asked_as, authority = given.get("PROBE_HOST", ""), given.get("PROBE_CA_FILE", "")
    return Probe(targets(given.get("PROBE_TARGETS", ""), asked_as, authority), account)


def handler(probe: Probe) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "probe"
        timeout = 10

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/metrics":
                self._answer(200, probe.metrics(), "text/plain; version=0.0.4; charset=utf-8")
            else:
                # For health checks, which must not cost a login.
                self._answer(200, "GET /metrics asks each target.\n", "text/plain")

        def _answer(self, status: int, text: str, kind: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            """A scrape is no news."""

    return Handler


def main() -> int:
    parser = argparse.ArgumentParser(description="Probe readiness and login of the API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9115)
    arguments = parser.parse_args()
    try:
        probe = from_environment()
        server = ThreadingHTTPServer((arguments.host, arguments.port), handler(probe))
    except WrongVariableError as error:
        print(f"probe: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
