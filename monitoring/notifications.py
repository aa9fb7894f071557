"""A receiver of Alertmanager's webhooks that prints what would have been sent, and to whom.

It stands where mail, chat or a pager will stand. Python's standard library alone, so that the
compose files run it in a plain image.

    python notifications.py [--port 9099] [--host 127.0.0.1] [--file notifications.jsonl]
        [--prometheus http://127.0.0.1:9090]

The last part of a webhook's path is the receiver's name. With ``--file`` every notification is kept
as a JSON line as well, the newest ``MOST_KEPT`` bytes of them. With ``--prometheus`` a link to the
graph of an alert's expression, ``/prometheus/graph``, leads to what Prometheus' API answers to it:
one that is built from source has no page.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

LARGEST_BODY = 4 * 1024 * 1024
MOST_KEPT = 20 * 1024 * 1024
#: Seconds that a client may take to send its notification.
PATIENCE = 10

_writing = threading.Lock()


def text(receiver: str, message: dict[str, Any]) -> str:
    """A notification in the words that a person would get."""
    status, alerts = message["status"], message["alerts"]
    shared = message.get("commonLabels", {})
    lines = [
        f"{status.upper()} -> {receiver}: {shared.get('service', '?')} "
        f"{shared.get('severity', '?')}, {len(alerts)} "
        + ("alert" if len(alerts) == 1 else "alerts")
    ]
    for alert in alerts:
        words = alert.get("annotations", {})
        name = alert.get("labels", {}).get("alertname", "?")
        lines.append(f"  {alert['status']:8} {name}: {words.get('summary', '')}")
        links = ("runbook_url", "dashboard_url", "traces_url")
        lines += [f"           {words[link]}" for link in links if link in words]
    return "\n".join(lines)


class Handler(BaseHTTPRequestHandler):
    server_version = "notifications"
    timeout = PATIENCE
    file: Path | None = None
    #: Address of Prometheus' API, empty where nobody said it.
    prometheus = ""

    def do_GET(self) -> None:
        """For health checks, and for links to the graph of an expression."""
        parts = urlsplit(self.path)
        if self.prometheus and parts.path == "/prometheus/graph":
            expression = parse_qs(parts.query).get("g0.expr", [""])[0]
            self.send_response(302)
            query = urlencode({"query": expression})
            self.send_header("Location", f"{self.prometheus}/api/v1/query?{query}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._answer(200, "ready")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self._answer(413, f"a length of at most {LARGEST_BODY} bytes is required")
            return
        try:
            message = json.loads(self.rfile.read(int(length)))
            said = text(self.path.strip("/") or "nobody", message)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._answer(400, f"not a notification of Alertmanager: {error!r}")
            return
        with _writing:
            print(said, flush=True)
            if self.file is not None:
                self._keep(self.file, {"receivedAt": time.time(), **message})
        self._answer(200, "printed")

    def _keep(self, file: Path, message: dict[str, Any]) -> None:
        try:
            if file.exists() and file.stat().st_size > MOST_KEPT:
                file.replace(file.with_suffix(".1" + file.suffix))
            with file.open("a") as kept:
                kept.write(json.dumps(message) + "\n")
        except OSError as error:
            print(f"not kept in {file}: {error}", flush=True)

    def _answer(self, status: int, words: str) -> None:
        body = f"{words}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
        """Only notifications are printed."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Print the notifications of Alertmanager.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9099)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--prometheus", default="", metavar="URL")
    arguments = parser.parse_args()
    Handler.file = arguments.file
    Handler.prometheus = arguments.prometheus.rstrip("/")
    try:
        server = ThreadingHTTPServer((arguments.host, arguments.port), Handler)
    except OSError as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
