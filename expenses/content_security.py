"""Content-Security-Policy on every answer: what a page may load, and from where.

Django has this from 6.0 on. The policies here are fixed texts, without a nonce or a choice by view,
so that a package for them (django-csp) would have nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

GetResponse = Callable[[HttpRequest], Any]

HEADER = "Content-Security-Policy"
#: JSON loads nothing, and nobody frames it.
DATA = "default-src 'none'; frame-ancestors 'none'"
#: Pages of the admin, and all others: scripts, styles and images of this service alone.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
#: Swagger UI has a style sheet in its page, and sets styles from its script.
DOCS = PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


@sync_and_async_middleware
def content_security_middleware(get_response: GetResponse) -> GetResponse:
    """Add the policy of the path, unless a view has set one."""
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> Any:
            return _add_policy(request, await get_response(request))

        return asynchronous

    def synchronous(request: HttpRequest) -> Any:
        return _add_policy(request, get_response(request))

    return synchronous


def _add_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    if settings.DEBUG and response.status_code >= 400:
        # Django's page about an exception consists of inline styles and scripts.
        return response
    path = request.path_info
    if path.startswith("/api/docs/"):
        policy = DOCS
    elif path.startswith("/api/"):
        policy = DATA
    else:
        policy = PAGE
    response.headers.setdefault(HEADER, policy)
    # An answer to a Host that is not served has not passed SecurityMiddleware.
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response
