"""Sends spans to an OTLP receiver: http/protobuf, as the OTLP specification 1.x says.

Endpoint, headers, time-out, compression and certificates come from ``OTEL_EXPORTER_OTLP_*``. The
answers 429, 502, 503 and 504, and a connection that failed, are tried again with a growing pause
(``Retry-After`` if the receiver says so) until the time-out; every other failure is final. A
redirect is such a failure: spans go to no host but the one that was named.
"""

from __future__ import annotations

import gzip
import http.client
import logging
import random
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from telemetry.tracing import otlp
from telemetry.tracing.bounded_http import Connection, login_of
from telemetry.tracing.values import epoch_offset

logger = logging.getLogger(__name__)

#: The specification's "retryable" answers.
RETRYABLE = frozenset({429, 502, 503, 504})
#: The specification asks for exporter and language ("User Agent" of the OTLP exporter).
USER_AGENT = "Telemetry-OTLP-Exporter-Python"
#: Bytes of one request before compression: what gRPC's servers, and receivers that follow them,
#: take by default.
MOST_BYTES = 4_000_000
#: Bytes of an answer that are read; a whole one has a few.
LONGEST_ANSWER = 65_536
_LONGEST_PROBLEM = 200
_FIRST_PAUSE = 0.5
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 5.0
#: Seconds between two warnings about refused spans.
_WARNED_EVERY = 60.0

#: Spans as the bytes of an ``ExportTraceServiceRequest``.
Encode = Callable[[Sequence[Any]], bytes]
#: Told why spans were dropped, and how many.
DropCounter = Callable[[str, int], None]


class ExportError(Exception):
    """The receiver did not take spans: ``spans`` of them, or all where that is None."""

    def __init__(self, problem: str, spans: int | None = None) -> None:
        super().__init__(problem)
        self.spans = spans


def not_counted(reason: str, spans: int) -> None:
    """For whoever does not want to know."""


class OtlpExporter:
    """One connection that is kept between batches. Used by one thread at a time.

    ``encode`` is given for spans of the SDK; light spans are encoded by ``telemetry.tracing.otlp``.
    ``count_dropped`` is told of spans that cannot be sent at all (``encoding_failed``,
    ``too_large``). ``by_proxy`` says whether the proxies of the environment are used.
    """

    def __init__(
        self,
        endpoint: str,
        resource: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        compression: str = "none",
        context: ssl.SSLContext | None = None,
        encode: Encode | None = None,
        count_dropped: DropCounter = not_counted,
        by_proxy: bool = False,
    ) -> None:
        parts = urlsplit(endpoint)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (443 if self._secure else 80)
        self._path = _ascii(parts.path or "/")
        if parts.query:
            self._path += f"?{_ascii(parts.query)}"
        resource_field = otlp.resource(resource)
        self._encode = encode or (lambda spans: otlp.request(resource_field, spans, epoch_offset()))
        self._count_dropped = count_dropped
        own = {"Content-Type": "application/x-protobuf", "User-Agent": USER_AGENT}
        if (login := login_of(parts)) is not None:
            own["Authorization"] = login
        given = dict(headers or {})
        # Names of headers have no case (RFC 9110, section 5.1), and each comes once.
        named = set(map(str.lower, given))
        self._headers = {name: own[name] for name in own if name.lower() not in named} | given
        self._proxy = _proxy_for(self._secure, self._host) if by_proxy else None
        if self._proxy is not None and not self._secure:
            self._path = f"http://{parts.netloc.rpartition('@')[2]}{self._path}"
            if (proxy_login := login_of(self._proxy)) is not None:
                self._headers["Proxy-Authorization"] = proxy_login
        self._compress = _COMPRESSIONS[compression]
        if compression != "none":
            self._headers["Content-Encoding"] = compression
        self._timeout = timeout
        if self._secure and context is None:
            context = ssl.create_default_context()
        self._context = context
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._warned_at = -_WARNED_EVERY

    def export(self, spans: Sequence[Any]) -> int:
        """Send the spans and give how many the receiver refused of them.

        Raises ExportError where it took none of those that could be sent.
        """
        deadline = time.monotonic() + self._timeout
        refused = failed = taken = 0
        problem: ExportError | None = None
        for body, number in self._requests(spans):
            try:
                refused += self._deliver(body, number, deadline)
                taken += number
            except ExportError as error:
                problem = error
                failed += number
        if problem is not None and not taken:
            raise ExportError(str(problem), failed)
        return refused + failed

    def _requests(self, spans: Sequence[Any]) -> Iterator[tuple[bytes, int]]:
        """The spans as bodies of requests, with how many are in each.

        One span that cannot be encoded, or is larger than any receiver takes, is left out and
        counted; the others are sent without it.
        """
        try:
            body = self._encode(spans)
            reason = "" if len(body) <= MOST_BYTES else "too_large"
        except Exception:  # noqa: BLE001  one span must not cost the others
            reason = "encoding_failed"
        if not reason:
            yield body, len(spans)
        elif len(spans) == 1:
            self._count_dropped(reason, 1)
        else:
            half = len(spans) // 2
            yield from self._requests(spans[:half])
            yield from self._requests(spans[half:])

    def _deliver(self, body: bytes, number: int, deadline: float) -> int:
        """Send one request, again if that may help; how many of its spans were refused."""
        body = self._compress(body)
        pause = _FIRST_PAUSE
        while True:
            try:
                status, answer, wait = self._send(body, deadline)
            # ValueError: http.client of a chunk with a length below zero.
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.close()
                # The receiver may have written a part of it.
                problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
                wait = None
            else:
                if 200 <= status < 300:
                    return self._refused(answer, number)
                problem = f"the receiver answered {status}"
                if status not in RETRYABLE:
                    raise ExportError(problem)
            if wait is None:
                wait = pause * random.uniform(0.8, 1.2)  # noqa: S311  no secret
                pause = min(2 * pause, _LONGEST_PAUSE)
            # A receiver that says 0 would be asked thousands of times a second.
            wait = max(wait, _SHORTEST_PAUSE)
            if time.monotonic() + wait >= deadline or self._stopping.wait(wait):
                raise ExportError(problem)

    def stop_retrying(self) -> None:
        """The process ends: what fails now is not tried again."""
        self._stopping.set()

    def _send(self, body: bytes, deadline: float) -> tuple[int, bytes, float | None]:
        try:
            response = self._answer(body, deadline)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A connection that the receiver closed while it was idle.
            self.close()
            response = self._answer(body, deadline)
        answer = response.read(LONGEST_ANSWER)
        if not response.isclosed():
            # There is more of it, which nobody reads.
            self.close()
        return response.status, answer, _retry_after(response.headers.get("Retry-After"))

    def _answer(self, body: bytes, deadline: float) -> http.client.HTTPResponse:
        connection = self._connection
        if connection is None:
            connection = Connection(self._host, self._port, self._context, self._proxy)
            self._connection = connection
        connection.deadline = deadline
        connection.request("POST", self._path, body, self._headers)
        return connection.getresponse()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _refused(self, answer: bytes, number: int) -> int:
        """``partial_success.rejected_spans`` of the answer, which is nearly always empty."""
        if not answer:
            return 0
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
            ExportTraceServiceResponse,
        )

        try:
            partial = ExportTraceServiceResponse.FromString(answer).partial_success
        except DecodeError:
            return 0
        refused = min(max(0, int(partial.rejected_spans)), number)
        if refused and time.monotonic() - self._warned_at >= _WARNED_EVERY:
            self._warned_at = time.monotonic()
            said = partial.error_message[:_LONGEST_PROBLEM]
            logger.warning("the receiver refused %d spans: %s", refused, said)
        return refused


def _as_it_is(body: bytes) -> bytes:
    return body


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=1)


def _deflate(body: bytes) -> bytes:
    """HTTP's ``deflate`` is zlib's format (RFC 9110, section 8.4.1.2)."""
    return zlib.compress(body, level=1)


_COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "none": _as_it_is,
    "gzip": _gzip,
    "deflate": _deflate,
}


def _ascii(part: str) -> str:
    """A part of an address as it may be in a request line; what is encoded already stays."""
    return quote(part, safe="%/:=&?~#+!$,;'@()*[]")


def _proxy_for(secure: bool, host: str) -> SplitResult | None:
    """What ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` say about a receiver."""
    named = getproxies().get("https" if secure else "http")
    if not named or proxy_bypass(host):
        return None
    return urlsplit(named if "//" in named else f"//{named}")


def _retry_after(value: str | None) -> float | None:
    """Seconds; a date (RFC 9110) is not read and waits as if nothing was said."""
    return float(value) if value and value.isascii() and value.isdigit() else None
