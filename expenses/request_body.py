"""Bounds for request bodies, with and without a length.

A body is at most ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes, whatever its type: above it the answer is
413. A body of unknown length (``Transfer-Encoding: chunked``, RFC 9112, section 7.1) is read up to
the same bound and gets its length, because Django under WSGI and Django REST framework take a
request without ``Content-Length`` for one without a body.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from http import HTTPStatus
from io import BytesIO
from typing import IO, Any, BinaryIO, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import BadRequest, RequestAborted
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import LimitedStream, WSGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.decorators import sync_and_async_middleware

from expenses.api import fallbacks

GetResponse = Callable[[HttpRequest], Any]

_MOST_DIGITS = 19


@sync_and_async_middleware
def bounded_body_middleware(get_response: GetResponse) -> GetResponse:
    """Refuse a body that is too large or broken; give a chunked one its length."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> Any:
            return _refusal(request) or await get_response(request)

        return asynchronous

    def synchronous(request: HttpRequest) -> Any:
        return _refusal(request) or get_response(request)

    return synchronous


def _refusal(request: HttpRequest) -> HttpResponseBase | None:
    """The answer to a body that cannot be read, else None."""
    meta = request.META
    if "HTTP_TRANSFER_ENCODING" in meta and isinstance(request, WSGIRequest):
        return _read_chunked(request)
    length = meta.get("CONTENT_LENGTH")
    if not length or not length.isdecimal():
        return None
    # Python refuses to read a number of thousands of digits.
    if len(length) > _MOST_DIGITS or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return fallbacks.answer(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if isinstance(request, WSGIRequest):
        whole = _WholeBody(request.environ["wsgi.input"], int(length))
        request._stream = cast(BinaryIO, whole)  # noqa: SLF001 - Django has no setter
    return None


class IncompleteBody(BadRequest):
    """The client ended its body before its Content-Length (RFC 9112, section 8)."""


class _WholeBody(LimitedStream):
    """A body whose reader never takes a part of it for the whole.

    A server of WSGI ends the stream when the client does: a form, of which the last bytes are the
    end of a text, would be saved without them. ASGI's tell.
    """

    def __init__(self, stream: Any, limit: int) -> None:
        super().__init__(stream, limit)
        self._left = limit

    def read(self, size: int | None = -1, /) -> bytes:
        data: bytes = super().read(size)
        self._check(data, size)
        return data

    def readline(self, size: int | None = -1, /) -> bytes:
        line: bytes = super().readline(size)
        self._check(line, len(line) if line.endswith(b"\n") else size)
        return line

    def _check(self, data: bytes, size: int | None) -> None:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        self._left -= len(data)
        if len(data) < wanted:
            raise IncompleteBody("The body ended before its Content-Length.")


def _read_chunked(request: WSGIRequest) -> HttpResponseBase | None:
    """Read a chunked body into memory, as far as it may go."""
    environ = request.environ
    if not environ.get("wsgi.input_terminated"):
        # The server (runserver is one) does not say that it decodes chunks and ends the stream.
        # What it does not read is left on the connection, which must not be used again: Django's
        # runserver closes it when the response has no length.
        refusal = fallbacks.answer(request, HTTPStatus.LENGTH_REQUIRED)
        return StreamingHttpResponse(
            [refusal.content], status=refusal.status_code, headers=dict(refusal.items())
        )
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        body = environ["wsgi.input"].read(limit + 1)
    except Exception:  # noqa: BLE001 - each server has exceptions of its own for broken chunks
        return fallbacks.answer(request, HTTPStatus.BAD_REQUEST)
    if len(body) > limit:
        return fallbacks.answer(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = request._stream = BytesIO(body)  # noqa: SLF001 - Django has no setter
    return None


class BoundedASGIHandler(ASGIHandler):
    """Django's handler, which writes a body of any size to disk before the first middleware runs.

    This one stops one byte above the bound, and the middleware refuses the request.
    """

    async def read_body(self, receive: Callable[[], Any]) -> IO[bytes]:
        left = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
        body = tempfile.SpooledTemporaryFile(max_size=left, mode="w+b")  # noqa: SIM115
        more = True
        while more and left > 0:
            message = await receive()
            if message["type"] == "http.disconnect":
                body.close()
                raise RequestAborted
            part = message.get("body", b"")[:left]
            body.write(part)
            left -= len(part)
            more = message.get("more_body", False)
        body.seek(0)
        return body

    def create_request(
        self, scope: Mapping[str, Any], body_file: IO[bytes]
    ) -> tuple[ASGIRequest, None] | tuple[None, HttpResponseBase]:
        created = super().create_request(scope, body_file)
        request = created[0]
        if request is not None and "CONTENT_LENGTH" not in request.META:
            size = body_file.seek(0, os.SEEK_END)
            body_file.seek(0)
            if size:
                request.META["CONTENT_LENGTH"] = str(size)
        return created

    async def listen_for_disconnect(self, receive: Callable[[], Any]) -> None:
        """Django's own takes the rest of a body that was not read to the end for an error."""
        while (await receive())["type"] != "http.disconnect":
            pass
        raise RequestAborted
