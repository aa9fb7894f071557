"""The middleware that sees every request. It stands first in ``MIDDLEWARE``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from telemetry import own_paths, runtime
from telemetry.context import current
from telemetry.seen import CLIENT_CLOSED, SeenRequest, size_of
from telemetry.streaming import watch

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
        got_request_exception.connect(_remember_exception, dispatch_uid="telemetry")
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
            return self._answered(seen, response)
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
            return self._answered(seen, response)
        except BaseException as error:
            _end_without_answer(seen, error)
            raise
        finally:
            seen.leave()

    def _answered(self, seen: SeenRequest, response: HttpResponseBase) -> HttpResponseBase:
        seen.add_headers(response)
        if isinstance(response, StreamingHttpResponse):
            watch(response, seen)
        else:
            seen.finish(response.status_code, size_of(response))
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


def _remember_exception(**_signal: Any) -> None:
    """Django's word that nobody caught an exception of this request; it is being handled now."""
    operation = current.get()
    error = sys.exc_info()[1]
    if operation is not None and error is not None:
        operation.error = error
