"""The middleware that sees every request. It stands first in ``MIDDLEWARE``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    HttpRequest,
    HttpResponseBase,
    StreamingHttpResponse,
    UnreadablePostError,
)
from django.utils.decorators import sync_and_async_middleware

from telemetry import causes, own_paths, runtime
from telemetry.seen import CLIENT_CLOSED, SeenRequest, size_of, status_of
from telemetry.streaming import watch
from telemetry.tracing import contrib

GetResponse = Callable[[HttpRequest], Any]


class TelemetryMiddleware:
    """One class, sync and async as the server has it, without a thread hop of its own."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        causes.install()
        runtime.requests_begin()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._asynchronous(request)
        runtime.start()
        view = own_paths.view_of(request)
        if view is not None:
            return own_paths.answer(view, request)
        seen = SeenRequest(request)
        seen.enter()
        try:
            response: HttpResponseBase = self.get_response(request)
            return _answered(seen, response)
        except BaseException as error:
            _end_without_answer(seen, error)
            raise
        finally:
            seen.leave()

    async def _asynchronous(self, request: HttpRequest) -> HttpResponseBase:
        runtime.start()
        view = own_paths.view_of(request)
        if view is not None:
            return await sync_to_async(own_paths.answer, thread_sensitive=False)(view, request)
        seen = SeenRequest(request)
        seen.enter()
        try:
            response: HttpResponseBase = await self.get_response(request)
            return _answered(seen, response)
        except BaseException as error:
            _end_without_answer(seen, error)
            raise
        finally:
            seen.leave()


@sync_and_async_middleware
def own_paths_middleware(get_response: GetResponse) -> GetResponse:
    """Stand in front of OpenTelemetry's middleware, where that is used.

    Theirs would trace scrapes and health checks, and it asks for the Host before anything else: a
    request with one that is not served would be refused without a record, by nobody's middleware.
    ``telemetry.tracing.contrib`` puts this one into ``MIDDLEWARE``.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> Any:
            view = own_paths.view_of(request)
            if view is None:
                return await get_response(_for_any_host(request))
            runtime.start()
            return await sync_to_async(own_paths.answer, thread_sensitive=False)(view, request)

        return asynchronous

    def synchronous(request: HttpRequest) -> Any:
        view = own_paths.view_of(request)
        if view is None:
            return get_response(_for_any_host(request))
        runtime.start()
        return own_paths.answer(view, request)

    return synchronous


def _for_any_host(request: HttpRequest) -> HttpRequest:
    """Let theirs have an address, which it compares with paths, though the Host is refused later:
    by Django's own middleware, as without theirs."""
    if not contrib.takes_any_host():
        return request
    try:
        request.get_host()
    except DisallowedHost:
        setattr(request, "build_absolute_uri", lambda _location=None: request.path)  # noqa: B010
    return request


def _answered(seen: SeenRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Finish the request now or, where its body is streamed, with the body. Never raises: custom
    users, and response classes that are unlike Django's, must not lose a finished answer."""
    seen.look_at(response)
    size = 0
    try:
        if isinstance(response, StreamingHttpResponse):
            watch(response, seen)
            return response
        size = size_of(response)
    except Exception:  # noqa: BLE001  logged when the request is finished
        seen.report("measure the answer to")
    status = status_of(response)
    if status >= 500 and isinstance(seen.operation.error, UnreadablePostError):
        # The client's connection broke while its body was read: nobody gets this answer, and a
        # stranger must not be able to make errors of the server.
        status = CLIENT_CLOSED
    seen.finish(status, size)
    return response


def _end_without_answer(seen: SeenRequest, error: BaseException) -> None:
    """Django turns exceptions into answers below us: what comes here is a client that left, which
    cancels its request, or ends the worker."""
    if isinstance(error, asyncio.CancelledError) and _is_cancelled(seen.request):
        seen.finish(CLIENT_CLOSED, 0)
        return
    seen.operation.error = error
    seen.finish(500, 0)


def _is_cancelled(request: HttpRequest) -> bool:
    """Whether somebody cancels this work, and not its own code raised the exception."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        # A thread: under ASGI the cancelled task waits for it, under WSGI nobody cancels.
        return isinstance(request, ASGIRequest)
    return task is not None and task.cancelling() > 0
