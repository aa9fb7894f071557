"""The metrics-only port: the same scrape as ``/metrics``, where no proxy leads to.

It answers ``/health/*`` as well, by threads of its own: a health check does not wait for a request.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from telemetry import health, settings
from telemetry.context import Operation, current
from telemetry.metrics import exposition
from telemetry.settings import OTEL_EXPORTER_PROMETHEUS_HOST, metrics_port

logger = logging.getLogger(__name__)

_HEALTH = {"live": health.live, "ready": health.ready}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "telemetry"
    sys_version = ""
    #: Seconds that a client may keep silent; who sends nothing holds no thread for ever.
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = settings.get().own_paths.get(path)
        if name in _HEALTH:
            found = _HEALTH[name]()
            self._answer(found.status, found.body, found.headers)
            return
        if path != "/" and name != "metrics":
            self._answer(404, b"metrics are at /metrics\n", {"Content-Type": "text/plain"})
            return
        if not exposition.allowed(self.headers.get("Authorization", "")):
            self._answer(401, b"", {"WWW-Authenticate": "Bearer"})
            return
        scrape = exposition.scrape(
            self.headers.get("Accept", ""), self.headers.get("Accept-Encoding", "")
        )
        self._answer(200, scrape.body, scrape.headers)

    do_HEAD = do_GET  # noqa: N815  the name that http.server calls

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def end_headers(self) -> None:
        # On refusals of http.server too, whose pages show what was asked for.
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        logger.debug("metrics port: " + format, *args)  # noqa: G003


class _Server(ThreadingHTTPServer):
    """Listens on an address of IPv4 or IPv6; on ``::`` for both, where the system can.

    Raises OSError or UnicodeError where the address cannot be resolved, OSError where it is taken.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # A name may be both, as localhost: then IPv4, which every scraper has.
        found.sort(key=lambda address: address[0] != socket.AF_INET)
        self.address_family = found[0][0]
        super().__init__(found[0][4], _Handler)  # type: ignore[arg-type]  # IPv6: four parts

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6 and socket.has_dualstack_ipv6():
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's, which asks a name server for the name of the address.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

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
            self._server = _Server(host, port)
        except (OSError, UnicodeError) as error:
            # UnicodeError: a name that IDNA does not know, as one with an empty label.
            if not self._complained:
                self._complained = True
                logger.warning(
                    "the metrics-only port %s:%s cannot be used (%s); /metrics on the API's own "
                    "port serves the same, and PROMETHEUS_PORT=0 switches this one off",
                    host,
                    port,
                    getattr(error, "strerror", None) or error,
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
