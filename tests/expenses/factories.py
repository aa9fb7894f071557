"""Rows for tests, plain unless a test says otherwise."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import factory
from django.contrib.auth.models import User

from expenses.models import Category, Expense


class UserFactory(factory.django.DjangoModelFactory[User]):
    class Meta:
        model = User

    username = factory.Sequence(lambda number: f"user{number}")


class CategoryFactory(factory.django.DjangoModelFactory[Category]):
    class Meta:
        model = Category

    owner = factory.SubFactory(UserFactory)
    name = factory.Sequence(lambda number: f"Category {number}")


class ExpenseFactory(factory.django.DjangoModelFactory[Expense]):
    class Meta:
        model = Expense

    owner = factory.SubFactory(UserFactory)
    title = "Train"
    merchant = "SNCF"
    amount = Decimal("64.00")
    currency = "EUR"
    spent_on = dt.date(2026, 3, 14)


def body(**changes: Any) -> dict[str, Any]:
    """A good expense as a client sends it."""
    return {
        "title": "Train to Lyon",
        "merchant": "SNCF",
        "amount": "64.00",
        "currency": "EUR",
        "category": None,
        "spent_on": "2026-03-14",
        "notes": "",
        **changes,
    }
