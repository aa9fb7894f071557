"""The middleware that sees every request. It stands first in ``MIDDLEWARE``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
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
        except asyncio.CancelledError:
            # Under ASGI too, where a middleware below us is sync only.
            seen.finish(CLIENT_CLOSED, 0)
            raise
        except BaseException as error:
            # Django turns exceptions into answers below us: what comes here ends the worker.
            seen.operation.error = error
            seen.finish(500, 0)
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
        except asyncio.CancelledError:
            seen.finish(CLIENT_CLOSED, 0)
            raise
        except BaseException as error:
            seen.operation.error = error
            seen.finish(500, 0)
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


def _remember_exception(**_signal: Any) -> None:
    """Django's word that nobody caught an exception of this request; it is being handled now."""
    operation = current.get()
    error = sys.exc_info()[1]
    if operation is not None and error is not None:
        operation.error = error
