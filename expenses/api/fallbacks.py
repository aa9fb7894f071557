"""What Django answers by itself: unknown paths, refused requests, exceptions nobody handled.

``config.urls`` names these as handlers. Under ``/api/`` the answer is a problem, elsewhere a page.
"""

from __future__ import annotations

import sys
from http import HTTPStatus

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views import defaults

from expenses.api.errors import CONTENT_TYPE, problem

#: Seconds that a client should wait when the database is away.
RETRY_AFTER = 5


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return _answer(HTTPStatus.BAD_REQUEST, "bad_request", "The request cannot be served.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return _answer(HTTPStatus.FORBIDDEN, "permission_denied", "This is not allowed.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return _answer(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Called by Django while the exception is still being handled, after it was reported.

    A database that is away is not this service's fault in the middle of a request: 503, try again.
    A place in the connection pool that did not come in time arrives as OperationalError too.
    """
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return _unavailable(request)
    if _is_api(request):
        return _answer(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong here. Name the correlation_id when you report it.",
        )
    return defaults.server_error(request)


def _unavailable(request: HttpRequest) -> HttpResponse:
    detail = "The database is not available now. Try again shortly."
    status = HTTPStatus.SERVICE_UNAVAILABLE
    response = (
        _answer(status, "database_unavailable", detail)
        if _is_api(request)
        else HttpResponse(detail + "\n", status=status, content_type="text/plain; charset=utf-8")
    )
    response["Retry-After"] = str(RETRY_AFTER)
    return response


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _answer(status: HTTPStatus, code: str, detail: str) -> HttpResponse:
    return JsonResponse(
        problem(status, code=code, detail=detail), status=status, content_type=CONTENT_TYPE
    )
