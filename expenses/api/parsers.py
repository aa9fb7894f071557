"""JSON bodies, with what a stranger can send in mind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from expenses.api.errors import BodyTooLarge


class BoundedJSONParser(BaseParser):
    """DRF's JSON parser reads past ``DATA_UPLOAD_MAX_MEMORY_SIZE`` and makes floats; this does not.

    Numbers with a fraction become ``Decimal``, digit by digit as they were sent. An object that
    names a key twice says two things, and is refused.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,  # noqa: ARG002
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge
        try:
            return json.loads(
                body.decode("utf-8"),
                parse_float=Decimal,
                parse_constant=_refuse_constant,
                object_pairs_hook=_object,
            )
        except _RepeatedKeyError as error:
            raise ParseError("The JSON has an object with the same key more than once.") from error
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        # Broken JSON, broken UTF-8, an integer of 5000 digits; an exponent of more than 18 digits.
        except (ValueError, InvalidOperation) as error:
            raise ParseError("The body is not valid JSON.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class _RepeatedKeyError(Exception):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _RepeatedKeyError
    return made
