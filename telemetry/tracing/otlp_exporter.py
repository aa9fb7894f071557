"""Sends light spans to an OTLP receiver: http/protobuf, as the OTLP specification 1.x says.

Endpoint, headers, time-out, compression and certificates come from ``OTEL_EXPORTER_OTLP_*``. The
answers 429, 502, 503 and 504, and a connection that failed, are tried again with a growing pause
(``Retry-After`` if the receiver says so) until the time-out; every other failure is final.
"""

from __future__ import annotations

import gzip
import http.client
import logging
import random
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from telemetry.tracing import otlp
from telemetry.tracing.light import LightSpan, WholeSpan, epoch_offset

logger = logging.getLogger(__name__)

#: The specification's "retryable" answers.
RETRYABLE = frozenset({429, 502, 503, 504})
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


class ExportError(Exception):
    """The receiver did not take the spans."""


class OtlpExporter:
    """One connection that is kept between batches. Used by one thread at a time."""

    def __init__(
        self,
        endpoint: str,
        resource: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        compress: bool = False,
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "localhost"
        self._port = parts.port
        self._path = parts.path or "/"
        if parts.query:
            self._path += f"?{parts.query}"
        self._resource = otlp.resource(resource)
        self._headers = {"Content-Type": "application/x-protobuf", **(headers or {})}
        self._compress = compress
        if compress:
            self._headers["Content-Encoding"] = "gzip"
        self._timeout = timeout
        self._context = context
        self._connection: http.client.HTTPConnection | None = None
        self._stopping = threading.Event()

    def export(self, spans: Sequence[LightSpan | WholeSpan]) -> int:
        """Send the spans and give how many the receiver refused of them. Raises ExportError."""
        body = otlp.request(self._resource, spans, epoch_offset())
        if self._compress:
            body = gzip.compress(body, compresslevel=1)
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while True:
            try:
                status, answer, wait = self._send(body, max(0.1, deadline - time.monotonic()))
            except (OSError, http.client.HTTPException) as error:
                self.close()
                problem, wait = f"{type(error).__name__}: {error}", None
            else:
                if 200 <= status < 300:
                    return _refused(answer)
                problem = f"the receiver answered {status}"
                if status not in RETRYABLE:
                    raise ExportError(problem)
            if wait is None:
                wait = pause * random.uniform(0.8, 1.2)  # noqa: S311  no secret
                pause = min(2 * pause, _LONGEST_PAUSE)
            if time.monotonic() + wait >= deadline or self._stopping.wait(wait):
                raise ExportError(problem)

    def stop_retrying(self) -> None:
        """The process ends: what fails now is not tried again."""
        self._stopping.set()

    def _send(self, body: bytes, timeout: float) -> tuple[int, bytes, float | None]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect(timeout)
        elif connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A connection that the receiver closed while it was idle.
            connection.close()
            connection = self._connection = self._connect(timeout)
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
        return response.status, response.read(), _retry_after(response.headers.get("Retry-After"))

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=self._context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _retry_after(value: str | None) -> float | None:
    """Seconds; a date (RFC 9110) is not read and waits as if nothing was said."""
    return float(value) if value and value.isascii() and value.isdigit() else None


def _refused(answer: bytes) -> int:
    """``partial_success.rejected_spans`` of the answer, which is nearly always empty."""
    if not answer:
        return 0
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:
        return 0
    if partial.rejected_spans:
        logger.warning(
            "the receiver refused %d spans: %s", partial.rejected_spans, partial.error_message
        )
    return int(partial.rejected_spans)
