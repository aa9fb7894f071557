"""Streamed answers: they end when their body does, and count then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from django.http import StreamingHttpResponse

from telemetry.request_span import enrich
from telemetry.routes import endpoint, note_file
from telemetry.seen import CLIENT_CLOSED, SeenRequest


def watch(response: StreamingHttpResponse, seen: SeenRequest) -> None:
    """Finish ``seen`` when the body ends, fails, or is closed before its end."""
    note_file(seen.request, response)
    if seen.operation.theirs:
        enrich(seen.operation, seen.request, endpoint(seen.request))
    closers: list[Callable[[], object]] = response._resource_closers  # type: ignore[attr-defined]  # noqa: SLF001
    closers[:] = [_within(seen, closer) for closer in closers]
    kind = _AsyncBody if response.is_async else _Body
    body = kind(response.streaming_content, response.status_code, seen)
    response.streaming_content = body.pieces() if isinstance(body, _AsyncBody) else body
    # A body of which nobody took a byte (HEAD, a client gone at once) is closed, not iterated.
    closers.append(body.close)


def _within(seen: SeenRequest, closer: Callable[[], object]) -> Callable[[], object]:
    """What a body does when it is closed, a generator's ``finally``, is work of the request."""

    def close() -> object:
        seen.enter()
        try:
            return closer()
        finally:
            seen.leave()

    return close


class _Watched:
    """A body and how much of it was sent."""

    def __init__(self, content: Any, status: int, seen: SeenRequest) -> None:
        self._content = content
        self._status = status
        self._seen = seen
        self._bytes = 0

    def close(self) -> None:
        whole = self._seen.request.method == "HEAD"
        self._end(self._status if whole else CLIENT_CLOSED)

    def _end(self, status: int) -> None:
        self._seen.finish(status, self._bytes)


class _Body(_Watched):
    """A synchronous body; what it runs between two pieces belongs to the request."""

    def __init__(self, content: Any, status: int, seen: SeenRequest) -> None:
        super().__init__(iter(content), status, seen)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self._seen.enter()
        try:
            piece: bytes = next(self._content)
        except StopIteration:
            self._end(self._status)
            raise
        except BaseException as error:
            self._seen.operation.error = error
            self._end(500)
            raise
        finally:
            self._seen.leave()
        self._bytes += _length(piece)
        return piece


class _AsyncBody(_Watched):
    """The same for an asynchronous one."""

    async def pieces(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._content)
        try:
            while True:
                self._seen.enter()
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    break
                finally:
                    self._seen.leave()
                self._bytes += _length(piece)
                yield piece
        except Exception as error:
            self._seen.operation.error = error
            self._end(500)
            raise
        except BaseException:
            self._end(CLIENT_CLOSED)
            raise
        self._end(self._status)


def _length(piece: Any) -> int:
    """Bytes of a piece; a response class of the project may have others than Django's bytes."""
    return len(piece) if isinstance(piece, bytes | str | bytearray | memoryview) else 0
