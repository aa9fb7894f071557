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
from django.core.handlers.wsgi import LimitedStream, WSGIHandler, WSGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.http import parse_header_parameters

from expenses.api import fallbacks

GetResponse = Callable[[HttpRequest], Any]

_MOST_DIGITS = 19
#: Bodies that Django decodes, by the charset that the client names.
_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


@sync_and_async_middleware
def bounded_body_middleware(get_response: GetResponse) -> GetResponse:
    """Refuse a body that is too large or broken, and a form that is not in UTF-8; give a chunked
    one its length."""
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
    if request.content_type in _FORMS:
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in _UTF_8:
            return fallbacks.answer(request, HTTPStatus.BAD_REQUEST)
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


class _IgnoresCharset(HttpRequest):
    """A request that is in UTF-8, whatever ``Content-Type`` says.

    Django decodes the query string by the charset of that header, with any codec that Python has,
    and counts its fields meanwhile: all of that raises before there is a request to be answered.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            found = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:
            # A parameter in a charset that is none (RFC 2231). Others read the header again.
            meta["CONTENT_TYPE"] = ""
            found = "", {}
        self.content_type, self.content_params = found


class _WSGIRequest(_IgnoresCharset, WSGIRequest):
    pass


class _ASGIRequest(_IgnoresCharset, ASGIRequest):
    pass


class BoundedWSGIHandler(WSGIHandler):
    """Django's handler, with requests that a header alone cannot break."""

    request_class = _WSGIRequest


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

    request_class = _ASGIRequest

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
