"""Rows as JSON and back. Shapes only: what a value may be is said by ``services``."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any, TypeVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from expenses import selectors
from expenses.api.problems import MOST_ERRORS
from expenses.currencies import currency_choices, in_currency
from expenses.models import Category, Expense, Status
from expenses.rules import NOTES_LENGTH, TITLE_LENGTH

Class = TypeVar("Class", bound=Callable[..., Any])


def _example(**row: object) -> Callable[[Class], Class]:
    """What a row looks like, for the schema; a request has the same without what is read only."""
    read_only = {"id", "created_at", "updated_at", "version"}
    request = {name: value for name, value in row.items() if name not in read_only}
    return extend_schema_serializer(
        examples=[
            OpenApiExample("Request", value=request, request_only=True),
            OpenApiExample("Response", value=row, response_only=True),
        ]
    )


def _error(detail: str, code: str) -> serializers.ErrorDetail:
    return serializers.ErrorDetail(detail, code=code)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know: a misspelt one would be lost in silence.

    Fields that are read only may be sent back as they came; they change nothing.
    """

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            known = self.fields
            # One more than an answer names, of however many were sent.
            unknown = islice((name for name in data if name not in known), MOST_ERRORS + 1)
            refused = {name: [_error("Unknown field.", "unknown_field")] for name in unknown}
            # DRF looks for the text of a value among the choices, and the text of a deep list
            # may be deeper than the stack.
            refused |= {
                name: [_error("A single value is required.", "invalid")]
                for name, field in known.items()
                if isinstance(field, serializers.ChoiceField)
                and isinstance(data.get(name), dict | list)
            }
            if refused:
                raise serializers.ValidationError(refused)
        return super().to_internal_value(data)


@extend_schema_field(
    {"type": "string", "pattern": r"^[0-9]{1,12}(\.[0-9]{1,4})?$", "examples": ["12.50"]}
)
class AmountField(serializers.Field[Decimal, Any, str, Any]):
    """Money out as a string with the currency's decimals; in as such a string or a JSON number.

    JSON numbers arrive exactly (see ``parsers``), so ``12.50`` and ``"12.50"`` are the same.
    Exponents, signs and names like NaN are refused.
    """

    default_error_messages = {"invalid": "An amount like 12.50 is required."}

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, str) and re.fullmatch(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", data):
            return Decimal(data)
        if isinstance(data, int) and not isinstance(data, bool) and abs(data) < 10**20:
            return Decimal(data)
        if isinstance(data, Decimal) and -20 <= int(data.as_tuple().exponent) <= 0:
            return data
        return self.fail("invalid")

    def get_attribute(self, instance: Expense) -> Decimal:
        return in_currency(instance.amount, instance.currency)

    def to_representation(self, value: Decimal) -> str:
        return f"{value:f}"


class OwnCategoryField(serializers.PrimaryKeyRelatedField[Category]):
    """The id of one of the caller's categories; somebody else's is as absent as none."""

    def get_queryset(self) -> QuerySet[Category]:
        return selectors.categories_of(self.context["request"].user)

    def to_internal_value(self, data: Any) -> Category:
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("incorrect_type", data_type=type(data).__name__)
        return super().to_internal_value(data)  # type: ignore[arg-type]  # it takes the key


@_example(id=3, name="Travel", created_at="2026-11-24T08:15:30Z")
class CategorySerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    name = serializers.CharField(max_length=80)
    created_at = serializers.DateTimeField(read_only=True)


@_example(
    id=17,
    title="Train to Lyon",
    merchant="SNCF",
    amount="64.00",
    currency="EUR",
    category=3,
    spent_on="2026-11-23",
    status="draft",
    notes="",
    created_at="2026-11-24T08:15:30Z",
    updated_at="2026-11-24T08:15:30Z",
    version=1,
)
class ExpenseSerializer(StrictSerializer):
    id = serializers.IntegerField(read_only=True)
    title = serializers.CharField(max_length=TITLE_LENGTH)
    merchant = serializers.CharField(max_length=TITLE_LENGTH, allow_blank=True, default="")
    amount = AmountField()
    currency = serializers.ChoiceField(choices=currency_choices(), help_text="ISO 4217 code.")
    category = OwnCategoryField(
        queryset=Category.objects.none(),
        allow_null=True,
        default=None,
        help_text="The id of one of your categories.",
    )
    spent_on = serializers.DateField(input_formats=["%Y-%m-%d"])
    status = serializers.ChoiceField(
        choices=Status.choices,
        required=False,
        help_text="Yours to move between draft and submitted.",
    )
    notes = serializers.CharField(
        max_length=NOTES_LENGTH, allow_blank=True, default="", trim_whitespace=False
    )
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)
    version = serializers.IntegerField(read_only=True, help_text="Rises with each change.")


@_example(username="demo1", password="…")  # noqa: S106 - an example
class LoginSerializer(StrictSerializer):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(
        max_length=256, trim_whitespace=False, style={"input_type": "password"}, write_only=True
    )


@_example(token="0c3f…27be", expiry="2026-12-24T08:15:30Z")  # noqa: S106 - an example
class TokenSerializer(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="Shown once; send it as `Authorization: Token …`.")
    expiry = serializers.DateTimeField(help_text="When it stops working.")
