"""Pages by keyset: the next page begins after the last row, wherever that row is by then.

The cursor holds all ordering fields and the id, so rows that share a value are neither lost nor
repeated, and rows that appear meanwhile shift nothing. It is signed, and bound to one list: the
person, the path, the filters and the ordering. Pages go forward only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.core import signing
from django.db.models import Model, Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
SALT = "expenses.api.pagination"

#: The parameters that are the pagination's own.
PARAMETERS = ("limit", "ordering", "cursor")


class KeysetPagination(BasePagination):
    """The view says what its list can be ordered by: ``ordering_fields``, ``default_ordering``."""

    def paginate_queryset(
        self,
        queryset: QuerySet[Any] | Sequence[Any],
        request: Request,
        view: APIView | None = None,
    ) -> list[Any]:
        assert isinstance(queryset, QuerySet)  # noqa: S101 - a list has no keyset
        ordering = _ordering(request, view.ordering_fields, view.default_ordering)  # type: ignore[union-attr]
        limit = _limit(request)
        scope = _scope(request, ordering)
        cursor = request.query_params.get("cursor")
        if cursor is not None:
            values = _position(cursor, scope, queryset, ordering)
            queryset = queryset.filter(_after(ordering, values))
        rows = list(queryset.order_by(*ordering)[: limit + 1])
        self.next_link: str | None = None
        if len(rows) > limit:
            rows.pop()
            last = _encode(rows[-1], ordering, scope)
            self.next_link = replace_query_param(request.build_absolute_uri(), "cursor", last)
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.next_link})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {
                    "type": ["string", "null"],
                    "format": "uri",
                    "description": "Where the list goes on; null at its end.",
                    "example": "https://api.example/api/v1/expenses/?cursor=WyI3…",
                },
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        fields = view.ordering_fields  # type: ignore[attr-defined]
        default = ",".join(view.default_ordering)  # type: ignore[attr-defined]
        return [
            _parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
                "Rows on one page.",
            ),
            _parameter(
                "ordering",
                {"type": "string", "default": default},
                f"One or more of {', '.join(fields)}, separated by commas; a minus in "
                "front turns the direction.",
            ),
            _parameter(
                "cursor",
                {"type": "string"},
                "Where to go on, out of `next`. Opaque, and good for this list only.",
            ),
        ]


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": description,
    }


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MAX_LIMIT):
        raise _refused("limit", f"A number from 1 to {MAX_LIMIT} is required.", "invalid")
    return int(text)


def _ordering(request: Request, fields: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """The ordering asked for, ending with the id in the direction of the first field.

    That direction lets the database read one index, forwards or backwards.
    """
    text = request.query_params.get("ordering")
    wanted = tuple(default) if text is None else tuple(text.split(","))
    names = [name.removeprefix("-") for name in wanted]
    if not set(names) <= set(fields) or len(set(names)) < len(names):
        message = f"Can order by {', '.join(fields)}, each once."
        raise _refused("ordering", message, "invalid_choice")
    return (*wanted, "-id" if wanted[0].startswith("-") else "id")


def _scope(request: Request, ordering: tuple[str, ...]) -> str:
    """What a cursor is good for, as a short digest."""
    filters = sorted(item for item in request.query_params.items() if item[0] not in PARAMETERS)
    described = json.dumps([request.user.pk, request.path, filters, ordering])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _encode(row: Model, ordering: tuple[str, ...], scope: str) -> str:
    values = [getattr(row, name.removeprefix("-")) for name in ordering]
    return signing.dumps([scope, *map(_as_json, values)], salt=SALT)


def _as_json(value: object) -> str | int:
    if isinstance(value, str | int):
        return value
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat() if isoformat else value)


def _position(
    cursor: str, scope: str, queryset: QuerySet[Any], ordering: tuple[str, ...]
) -> list[Any]:
    try:
        found, *values = signing.loads(cursor, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise _refused("cursor", "This is not a cursor of this service.", "bad_cursor") from error
    if found != scope:
        raise _refused("cursor", "This cursor belongs to another list.", "bad_cursor")
    meta = queryset.model._meta  # noqa: SLF001 - Django's documented model API
    fields = [meta.get_field(name.removeprefix("-")) for name in ordering]
    return [field.to_python(value) for field, value in zip(fields, values, strict=True)]


def _after(ordering: Sequence[str], values: Sequence[object]) -> Q:
    """Rows behind ``values``: first <= a AND (first < a OR (first = a AND the rest behind)).

    The first half looks superfluous; it is what an index can begin at.
    """
    name = ordering[0].removeprefix("-")
    direction = "lt" if ordering[0].startswith("-") else "gt"
    beyond = Q(**{f"{name}__{direction}": values[0]})
    if len(ordering) == 1:
        return beyond
    rest = Q(**{name: values[0]}) & _after(ordering[1:], values[1:])
    return Q(**{f"{name}__{direction}e": values[0]}) & (beyond | rest)


def _refused(parameter: str, message: str, code: str) -> ValidationError:
    return ValidationError({parameter: [message]}, code=code)
