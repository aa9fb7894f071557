"""The metrics-only port: the same scrape as ``/metrics``, where no proxy leads to."""

from __future__ import annotations

import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from telemetry.context import Operation, current
from telemetry.metrics import exposition
from telemetry.settings import OTEL_EXPORTER_PROMETHEUS_HOST, metrics_port

logger = logging.getLogger(__name__)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "telemetry"
    sys_version = ""
    #: Seconds that a client may keep silent; who sends nothing holds no thread for ever.
    timeout = 10

    def do_GET(self) -> None:
        if self.path.partition("?")[0] not in {"/", "/metrics"}:
            self._answer(404, b"metrics are at /metrics\n", {"Content-Type": "text/plain"})
            return
        if not exposition.allowed(self.headers.get("Authorization", "")):
            self._answer(401, b"", {"WWW-Authenticate": "Bearer"})
            return
        found = exposition.scrape(
            self.headers.get("Accept", ""), self.headers.get("Accept-Encoding", "")
        )
        self._answer(200, found.body, found.headers)

    do_HEAD = do_GET  # noqa: N815  the name that http.server calls

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        logger.debug("metrics port: " + format, *args)  # noqa: G003


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        logger.debug("metrics port: a client went away", exc_info=sys.exc_info())


class MetricsServer:
    """Listens on the metrics-only port in the one worker that leads."""

    def __init__(self) -> None:
        self._server: _Server | None = None
        self._complained = False

    def ensure(self) -> None:
        """Listen, unless this process does so already or the port is switched off.

        A port that somebody else has is one WARNING, and tried again: the API serves all the same.
        """
        port = metrics_port()
        if self._server is not None or port == 0:
            return
        host = OTEL_EXPORTER_PROMETHEUS_HOST.read()
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            if not self._complained:
                self._complained = True
                logger.warning(
                    "the metrics-only port %s:%s cannot be used (%s); /metrics on the API's own "
                    "port serves the same, and PROMETHEUS_PORT=0 switches this one off",
                    host,
                    port,
                    error.strerror or error,
                )
            return
        threading.Thread(target=self._serve, name="telemetry-metrics-port", daemon=True).start()

    def _serve(self) -> None:
        current.set(Operation("", quiet=True))
        if self._server is not None:
            self._server.serve_forever(poll_interval=1.0)

    def forget_after_fork(self) -> None:
        """The socket belongs to the parent; the copy must not answer in its place."""
        if self._server is not None:
            self._server.socket.close()
            self._server = None
