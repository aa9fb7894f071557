"""Streamed answers: they end when their body does, and count then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.http import StreamingHttpResponse

from telemetry.seen import CLIENT_CLOSED, SeenRequest


def watch(response: StreamingHttpResponse, seen: SeenRequest) -> None:
    """Finish ``seen`` when the body ends, fails, or is closed before its end."""
    if response.is_async:
        response.streaming_content = _asynchronous(response.streaming_content, response, seen)
        return
    body = _Body(response.streaming_content, response.status_code, seen)
    response.streaming_content = body
    # A body of which nobody took a byte (HEAD, a client gone at once) is closed, not iterated.
    closers: list[Any] = response._resource_closers  # type: ignore[attr-defined]  # noqa: SLF001
    closers.append(body.close)


class _Body:
    """A synchronous body; what it runs between two pieces belongs to the request."""

    def __init__(self, content: Any, status: int, seen: SeenRequest) -> None:
        self._content = iter(content)
        self._status = status
        self._seen = seen
        self._bytes = 0

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
        self._bytes += len(piece)
        return piece

    def close(self) -> None:
        whole = self._seen.request.method == "HEAD"
        self._end(self._status if whole else CLIENT_CLOSED)

    def _end(self, status: int) -> None:
        self._seen.finish(status, self._bytes)


async def _asynchronous(
    content: Any, response: StreamingHttpResponse, seen: SeenRequest
) -> AsyncIterator[bytes]:
    size = 0
    pieces = aiter(content)
    try:
        while True:
            seen.enter()
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                break
            finally:
                seen.leave()
            size += len(piece)
            yield piece
    except Exception as error:
        seen.operation.error = error
        seen.finish(500, size)
        raise
    except BaseException:
        seen.finish(CLIENT_CLOSED, size)
        raise
    seen.finish(response.status_code, size)
