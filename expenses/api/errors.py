"""Errors as ``application/problem+json`` (RFC 9457).

DRF's own exceptions, and Django's where the meaning is clear, become a problem here. Anything else
is left alone: it must reach Django, so that telemetry sees it once; ``fallbacks`` answers then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.fields import get_error_detail
from rest_framework.response import Response
from rest_framework.views import set_rollback

from expenses.api.problems import (
    CONTENT_TYPE,
    LONGEST_DETAIL,
    LONGEST_NAME,
    MOST_ERRORS,
    FieldError,
    Problem,
    problem,
)
from expenses.login_throttle import TooManyFailures
from expenses.models import Category, Expense
from expenses.services import LockedError


class BodyTooLarge(exceptions.APIException):
    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is larger than this service reads."
    default_code = "body_too_large"


class Conflict(exceptions.APIException):
    status_code = HTTPStatus.CONFLICT
    default_detail = "The request does not fit the present state."
    default_code = "conflict"


def handle(error: Exception, context: dict[str, Any]) -> Response | None:  # noqa: ARG001
    """DRF's ``EXCEPTION_HANDLER``. None lets the exception go on to Django."""
    known = _translated(error)
    if known is None:
        return None
    set_rollback()
    headers = {}
    if getattr(known, "auth_header", None):
        headers["WWW-Authenticate"] = known.auth_header  # type: ignore[attr-defined]
    if isinstance(known, exceptions.Throttled):
        headers["Retry-After"] = str(math.ceil(getattr(known, "wait", None) or 1))
    return Response(
        _body(known), status=known.status_code, headers=headers, content_type=CONTENT_TYPE
    )


def _translated(error: Exception) -> exceptions.APIException | None:  # noqa: PLR0911
    match error:
        case exceptions.APIException():
            return error
        case Http404() | Expense.DoesNotExist() | Category.DoesNotExist():
            return exceptions.NotFound()
        case TooManyFailures():
            return exceptions.Throttled(wait=error.seconds)
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case LockedError():
            return Conflict(str(error), code="locked")
        case DjangoValidationError():
            return exceptions.ValidationError(get_error_detail(error))
    return None


def _body(error: exceptions.APIException) -> Problem:
    if isinstance(error, exceptions.ValidationError):
        found = list(islice(_field_errors(None, error.detail), MOST_ERRORS + 1))
        detail = "The request was refused; see errors for each field."
        if len(found) > MOST_ERRORS:
            detail = f"The request was refused; errors names the first {MOST_ERRORS} reasons."
        return problem(
            error.status_code,
            code="validation_error",
            detail=detail,
            errors=found[:MOST_ERRORS],
        )
    code = getattr(error.detail, "code", error.default_code)
    return problem(error.status_code, code=code, detail=_bounded(error.detail, LONGEST_DETAIL))


def _field_errors(field: str | None, detail: object) -> Iterator[FieldError]:
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = None if name in {"non_field_errors", "__all__"} else _bounded(name, LONGEST_NAME)
            yield from _field_errors(own, inner)
    elif isinstance(detail, list):
        for inner in detail:
            yield from _field_errors(field, inner)
    else:
        code = getattr(detail, "code", "invalid")
        yield FieldError(field=field, code=code, detail=_bounded(detail, LONGEST_DETAIL))


def _bounded(text: object, length: int) -> str:
    """Text of a stranger as it can be sent back: cut, and without lone surrogates."""
    full = str(text)
    cut = full if len(full) <= length else f"{full[: length - 1]}…"
    return cut.encode(errors="replace").decode()
