"""Where a test's notifications arrive: an HTTP server and a mail server that keep what they get."""

from __future__ import annotations

import base64
import email
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


@dataclass
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Mailed:
    #: As the client sent it for AUTH PLAIN.
    user: str
    password: str
    to: list[str]
    message: Message


@dataclass
class Sink(Generic[Kept]):
    port: int = 0
    kept: list[Kept] = field(default_factory=list)


@contextmanager
def http_sink() -> Iterator[Sink[Posted]]:
    sink: Sink[Posted] = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.kept.append(Posted(self.path, dict(self.headers), body))
            # PagerDuty says 202, the others take any 2xx.
            self.send_response(202)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            """Nobody reads it."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        sink.port = port
        yield sink


@contextmanager
def mail_sink() -> Iterator[Sink[Mailed]]:
    """As much SMTP (RFC 5321, AUTH PLAIN of RFC 4954) as a client needs to hand over a mail."""
    sink: Sink[Mailed] = Sink()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 here")
            user = password = ""
            to: list[str] = []
            while line := self.rfile.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                if verb == "EHLO":
                    self.say("250-here\r\n250 AUTH PLAIN")
                elif verb == "AUTH":
                    _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
                    self.say("235 welcome")
                elif verb == "DATA":
                    self.say("354 go on")
                    sink.kept.append(
                        Mailed(user, password, to, email.message_from_string(self.text()))
                    )
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    if verb == "RCPT":
                        to.append(rest.partition(":")[2].strip("<>"))
                    self.say("250 well")

        def text(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                lines.append(line.removeprefix("."))
            return "\n".join(lines)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with _serving(server) as port:
        sink.port = port
        yield sink


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
