from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.expenses.factories import CategoryFactory, ExpenseFactory

EXPENSES = "/api/v1/expenses/"


@pytest.fixture
def _three(user: User) -> None:
    travel = CategoryFactory(owner=user)
    ExpenseFactory(owner=user, title="one", category=travel, spent_on=dt.date(2026, 1, 1))
    ExpenseFactory(
        owner=user, title="two", amount=Decimal(1200), currency="JPY", merchant="Cafe 100%"
    )
    ExpenseFactory(
        owner=user,
        title="three",
        amount=Decimal("9.99"),
        status="submitted",
        notes="the LAST one",
        spent_on=dt.date(2026, 5, 5),
    )


@pytest.mark.usefixtures("_three")
@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", {"one", "two", "three"}),
        ("spent_on_after=2026-03-14", {"two", "three"}),
        ("spent_on_before=2026-03-14", {"one", "two"}),
        ("spent_on_after=2026-03-14&spent_on_before=2026-03-14", {"two"}),
        ("amount_min=64", {"one", "two"}),
        ("amount_max=64.00", {"one", "three"}),
        ("currency=JPY", {"two"}),
        ("status=submitted", {"three"}),
        ("search=ONE", {"one", "three"}),
        ("search=cafe", {"two"}),
        ("search=100%25", {"two"}),
        ("search=%25", {"two"}),
        ("search=_", set()),
    ],
)
def test_list_is_narrowed(api: APIClient, query: str, titles: set[str]) -> None:
    answer = api.get(f"{EXPENSES}?{query}")

    assert {row["title"] for row in answer.json()["results"]} == titles


def test_list_of_one_category(api: APIClient, user: User) -> None:
    category = CategoryFactory(owner=user)
    wanted = ExpenseFactory(owner=user, category=category)
    ExpenseFactory(owner=user)

    answer = api.get(EXPENSES, {"category": category.pk})

    assert [row["id"] for row in answer.json()["results"]] == [wanted.pk]


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("limt=5", "limt", "unknown_parameter"),
        ("format=xml", "format", "unknown_parameter"),
        ("currency=EUR&currency=USD", "currency", "repeated"),
        ("currency=XYZ", "currency", "invalid_choice"),
        ("status=lost", "status", "invalid_choice"),
        ("spent_on_after=yesterday", "spent_on_after", "invalid"),
        ("spent_on_after=11/24/2026", "spent_on_after", "invalid"),
        ("spent_on_before=2026-02-30", "spent_on_before", "invalid"),
        ("amount_min=1e5", "amount_min", "invalid"),
        ("amount_min=1e999999999", "amount_min", "invalid"),
        ("amount_max=NaN", "amount_max", "invalid"),
        ("amount_max=-1", "amount_max", "invalid"),
        ("category=abc", "category", "invalid"),
        ("category=99999999999999999999", "category", "max_value"),
        ("search=a%00b", "search", "null_characters_not_allowed"),
        ("search=" + "a" * 101, "search", "max_length"),
        ("limit=0", "limit", "invalid"),
        ("limit=201", "limit", "invalid"),
        ("limit=many", "limit", "invalid"),
        ("limit=%D9%A5", "limit", "invalid"),
        ("ordering=owner", "ordering", "invalid_choice"),
        ("ordering=amount,-amount", "ordering", "invalid_choice"),
        ("ordering=", "ordering", "invalid_choice"),
        ("ordering=--amount", "ordering", "invalid_choice"),
    ],
)
def test_wrong_parameter_is_refused_not_ignored(
    api: APIClient, query: str, field: str, code: str
) -> None:
    answer = api.get(f"{EXPENSES}?{query}")

    assert answer.status_code == 400
    assert (field, code) in [(e["field"], e["code"]) for e in answer.json()["errors"]]


def test_detail_takes_no_parameters(api: APIClient, user: User) -> None:
    answer = api.get(f"{EXPENSES}{ExpenseFactory(owner=user).pk}/?currency=EUR")

    assert answer.status_code == 400
