"""Where a test's notifications arrive: an HTTP server, a mail server, and a pager."""

from __future__ import annotations

import base64
import email
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, TypeVar

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


@dataclass
class Incident:
    """What PagerDuty opens for a first event and keeps until it is resolved."""

    dedup_key: str
    summary: str
    status: str = "triggered"
    #: Times that somebody was paged for it: once, however many events follow.
    pages: int = 1
    #: Event actions in the order in which they came.
    events: list[str] = field(default_factory=list)


@dataclass
class PagerDuty:
    """As much of PagerDuty's Events API v2 as decides who is paged.

    Source: developer.pagerduty.com, "Send an Alert Event". A trigger with the key of an open
    incident is added to it and pages nobody; one that comes after its end opens another incident.
    """

    port: int = 0
    incidents: list[Incident] = field(default_factory=list)

    def open(self, dedup_key: str) -> Incident | None:
        found = (each for each in self.incidents if each.dedup_key == dedup_key)
        return next((each for each in found if each.status != "resolved"), None)

    def acknowledge(self, incident: Incident) -> None:
        """What the person on call does."""
        incident.status = "acknowledged"

    def take(self, event: dict[str, Any]) -> str:
        """Raises KeyError for an event that lacks what the API requires."""
        action, key = event["event_action"], event["dedup_key"]
        if not event["routing_key"]:
            raise KeyError("routing_key")
        incident = self.open(key)
        if action == "trigger":
            payload = event["payload"]
            if payload["severity"] not in {"critical", "error", "warning", "info"}:
                raise KeyError("severity")
            if not payload["source"] or not payload["summary"]:
                raise KeyError("source or summary")
            if incident is None:
                incident = Incident(key, payload["summary"])
                self.incidents.append(incident)
        elif incident is not None:
            incident.status = f"{action}d"
        if incident is not None:
            incident.events.append(action)
        return str(key)


@contextmanager
def pagerduty() -> Iterator[PagerDuty]:
    pager = PagerDuty()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                answer = {"status": "success", "dedup_key": pager.take(json.loads(body))}
                self.send_response(202)
            except KeyError as error:
                answer = {"status": "invalid event", "message": str(error)}
                self.send_response(400)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            """Nobody reads it."""

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        pager.port = port
        yield pager


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
