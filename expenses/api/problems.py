"""The body of an error: a problem of RFC 9457. Imports nothing of Django REST framework."""

from __future__ import annotations

from http import HTTPStatus
from typing import NotRequired, TypedDict

from telemetry import get_correlation_id

CONTENT_TYPE = "application/problem+json"

#: What an answer says of a refusal: 80,000 unknown fields are not answered with 80,000 errors.
MOST_ERRORS = 20
#: Characters of a field's name and of a detail, which may hold what the client sent.
LONGEST_NAME = 100
LONGEST_DETAIL = 300


class FieldError(TypedDict):
    field: str | None
    code: str
    detail: str


class Problem(TypedDict):
    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: NotRequired[list[FieldError]]
    correlation_id: str | None


def problem(
    status: int, *, code: str, detail: str, errors: list[FieldError] | None = None
) -> Problem:
    """The body of an error. ``type`` is ``about:blank``: ``code`` says which of its kind it is."""
    body = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=int(status),
        detail=detail,
        code=code,
        correlation_id=get_correlation_id(),
    )
    if errors is not None:
        body["errors"] = errors
    return body
