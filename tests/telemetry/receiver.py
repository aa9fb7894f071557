"""An OTLP receiver: it keeps what it gets, and answers what it was told, then 200."""

from __future__ import annotations

import threading
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.received: list[tuple[Message, bytes]] = []
        self.paths: list[str] = []
        self.close_after = False
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_who: object) -> None:
        """A client that went away is what some tests want."""

    @property
    def spans(self) -> list[Span]:
        """Every span that came, where nothing was compressed."""
        return [span for _, body in list(self.received) for span in spans_of(body)]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.server.received.append((self.headers, body))
        status, headers, answer = (
            self.server.answers.pop(0) if self.server.answers else (200, {}, b"")
        )
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)
        # Closed without saying so, as receivers do with connections that were idle.
        self.close_connection = self.server.close_after

    def log_message(self, *_args: object) -> None:
        """A receiver says nothing."""


def spans_of(body: bytes) -> list[Span]:
    resources = ExportTraceServiceRequest.FromString(body).resource_spans
    return [
        span for resource in resources for scope in resource.scope_spans for span in scope.spans
    ]
