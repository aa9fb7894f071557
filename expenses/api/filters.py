"""What a list of expenses can be narrowed by. Wrong values are refused, never ignored."""

from __future__ import annotations

import re
from collections.abc import Set
from decimal import Decimal
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework import exceptions
from rest_framework.request import Request

from expenses import selectors
from expenses.api.problems import MOST_ERRORS
from expenses.currencies import currency_choices
from expenses.models import Expense, Status
from expenses.rules import PrintableValidator

_LARGEST_ID = 2**63 - 1


class PlainDecimalField(forms.CharField):
    """A decimal as people write it: no exponent, no NaN, no more digits than an amount has."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,13}(\.[0-9]{1,4})?", text):
            raise ValidationError("A number like 12.50 is required.", code="invalid")
        return Decimal(text)


class IsoDateFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = forms.DateField

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(input_formats=["%Y-%m-%d"], **kwargs)


class AmountFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = PlainDecimalField


class IdFilter(django_filters.Filter):  # type: ignore[misc]
    field_class = forms.IntegerField


class ExpenseFilter(django_filters.FilterSet):  # type: ignore[misc]
    spent_on_after = IsoDateFilter(
        field_name="spent_on", lookup_expr="gte", help_text="On this day (YYYY-MM-DD) or later."
    )
    spent_on_before = IsoDateFilter(
        field_name="spent_on", lookup_expr="lte", help_text="On this day (YYYY-MM-DD) or earlier."
    )
    amount_min = AmountFilter(field_name="amount", lookup_expr="gte", help_text="At least so much.")
    amount_max = AmountFilter(field_name="amount", lookup_expr="lte", help_text="At most so much.")
    currency = django_filters.ChoiceFilter(choices=currency_choices, help_text="ISO 4217 code.")
    category = IdFilter(
        field_name="category_id",
        min_value=1,
        max_value=_LARGEST_ID,
        help_text="The id of a category.",
    )
    status = django_filters.ChoiceFilter(choices=Status.choices, help_text="One status.")
    search = django_filters.CharFilter(
        method="containing",
        max_length=100,
        validators=[PrintableValidator()],
        help_text="Text in title, merchant or notes, in any case.",
    )

    class Meta:
        model = Expense
        fields: list[str] = []

    def containing(self, rows: QuerySet[Expense], _name: str, text: str) -> QuerySet[Expense]:
        return rows.filter(selectors.containing(text))


def refuse_unknown_parameters(request: Request, known: Set[str]) -> None:
    """A misspelt filter must not return everything; a repeated one says two things.

    Raises DRF's ValidationError.
    """
    errors: dict[str, list[exceptions.ErrorDetail]] = {}
    for name, values in request.query_params.lists():
        if len(errors) > MOST_ERRORS:
            break
        if name not in known:
            errors[name] = [exceptions.ErrorDetail("Unknown parameter.", code="unknown_parameter")]
        elif len(values) > 1:
            errors[name] = [exceptions.ErrorDetail("Given more than once.", code="repeated")]
    if errors:
        raise exceptions.ValidationError(errors)
