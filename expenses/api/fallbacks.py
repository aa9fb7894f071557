"""What Django answers by itself: unknown paths, refused requests, exceptions nobody handled.

``config.urls`` names these as handlers. Under ``/api/`` the answer is a problem, elsewhere a page.
"""

from __future__ import annotations

import sys
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string
from django.views import defaults
from psycopg.errors import IdleInTransactionSessionTimeout

from expenses.api.problems import CONTENT_TYPE, Problem, problem
from expenses.login_throttle import TooManyFailures

#: Seconds that a client should wait when the database is away.
RETRY_AFTER = 5

#: Status → code and detail of its problem.
PROBLEMS: dict[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "The request cannot be served."),
    HTTPStatus.FORBIDDEN: ("permission_denied", "This is not allowed."),
    HTTPStatus.NOT_FOUND: ("not_found", "There is nothing at this address."),
    HTTPStatus.LENGTH_REQUIRED: ("length_required", "A body needs a Content-Length here."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "body_too_large",
        "The body is larger than this service reads.",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: ("throttled", "Too many failed logins. Try again later."),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal_error",
        "Something went wrong here. Name the correlation_id when you report it.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "database_unavailable",
        "The database is not available now. Try again shortly.",
    ),
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if isinstance(exception, RequestDataTooBig):
        return answer(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if _is_api(request):
        return answer(request, HTTPStatus.BAD_REQUEST)
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if isinstance(exception, TooManyFailures):
        response = answer(request, HTTPStatus.TOO_MANY_REQUESTS)
        response["Retry-After"] = str(exception.seconds)
        return response
    if _is_api(request):
        return answer(request, HTTPStatus.FORBIDDEN)
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if _is_api(request):
        return answer(request, HTTPStatus.NOT_FOUND)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Called by Django while the exception is still being handled, after it was reported.

    A database that is away is not this service's fault in the middle of a request: 503, try again.
    A place in the connection pool that did not come in time arrives as OperationalError too.
    """
    if _is_lost_database(sys.exc_info()[1]):
        response = answer(request, HTTPStatus.SERVICE_UNAVAILABLE)
        response["Retry-After"] = str(RETRY_AFTER)
        return response
    if _is_api(request):
        return answer(request, HTTPStatus.INTERNAL_SERVER_ERROR)
    return defaults.server_error(request)


def _is_lost_database(error: BaseException | None) -> bool:
    if isinstance(error, OperationalError | InterfaceError):
        return True
    # psycopg files the end of an idle transaction, whose connection is gone, under InternalError.
    return error is not None and isinstance(error.__cause__, IdleInTransactionSessionTimeout)


def answer(request: HttpRequest, status: HTTPStatus) -> HttpResponse:
    """A problem of ``PROBLEMS`` as this path has it: JSON for the API, HTML elsewhere."""
    code, detail = PROBLEMS[status]
    body: Problem = problem(status, code=code, detail=detail)
    if _is_api(request):
        return JsonResponse(body, status=status, content_type=CONTENT_TYPE)
    # Without context processors: they would ask the database, which may be what is away.
    return HttpResponse(render_to_string("expenses/problem.html", dict(body)), status=status)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")
