from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from expenses.models import Expense
from tests.expenses.factories import ExpenseFactory

EXPENSES = "/api/v1/expenses/"
ORDERINGS = [
    "spent_on",
    "-spent_on",
    "amount",
    "-amount",
    "created_at",
    "-created_at",
    "title",
    "-title",
    "title,-amount",
    "-spent_on,amount,-title",
]


def walk(api: APIClient, **query: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    page = api.get(EXPENSES, query).json()
    while True:
        rows += page["results"]
        if page["next"] is None:
            return rows
        page = api.get(page["next"]).json()


@pytest.fixture
def _many_alike(user: User) -> None:
    """Forty expenses that share their values, so that no single field tells them apart."""
    chance = random.Random(7)
    for _ in range(40):
        ExpenseFactory(
            owner=user,
            title=chance.choice(["Bus", "bus", "Train", "Älvsjö"]),
            amount=Decimal(chance.choice(["5.00", "5.50", "12.00"])),
            spent_on=dt.date(2026, 3, chance.choice([1, 2])),
        )


@pytest.mark.usefixtures("_many_alike")
@pytest.mark.parametrize("ordering", ORDERINGS)
def test_pages_hold_every_row_once_in_order(api: APIClient, ordering: str) -> None:
    fields = ordering.split(",")
    last = "-id" if ordering.startswith("-") else "id"
    expected = list(Expense.objects.order_by(*fields, last).values_list("id", flat=True))

    rows = walk(api, ordering=ordering, limit=7)

    assert [row["id"] for row in rows] == expected


@pytest.mark.usefixtures("_many_alike")
def test_rows_written_meanwhile_shift_nothing(api: APIClient, user: User) -> None:
    first = api.get(EXPENSES, {"limit": 10}).json()
    ids = [row["id"] for row in first["results"]]

    ExpenseFactory(owner=user, spent_on=dt.date(2026, 3, 30))
    Expense.objects.get(pk=ids[-1]).delete()
    second = api.get(first["next"]).json()

    rest = Expense.objects.filter(spent_on__lt=dt.date(2026, 3, 30)).exclude(pk__in=ids)
    following = rest.order_by("-spent_on", "-id").values_list("id", flat=True)[:10]
    assert [row["id"] for row in second["results"]] == list(following)


@pytest.mark.usefixtures("_many_alike")
def test_next_page_keeps_filters_and_limit(api: APIClient) -> None:
    rows = walk(api, limit=3, amount_min="5.50", search="bus")

    assert len(rows) == Expense.objects.filter(amount__gte="5.5", title__iexact="bus").count()


def test_a_page_is_fifty_rows_unless_asked(api: APIClient, user: User) -> None:
    ExpenseFactory.create_batch(51, owner=user)

    page = api.get(EXPENSES).json()

    assert len(page["results"]) == 50
    assert page["next"].startswith("http://testserver/api/v1/expenses/?cursor=")


def cursor_of(api: APIClient, **query: Any) -> str:
    answer = api.get(EXPENSES, {"limit": 1, **query}).json()["next"]
    return str(answer.split("cursor=")[1].split("&")[0].replace("%3A", ":"))


@pytest.mark.usefixtures("_many_alike")
@pytest.mark.parametrize("spoil", [str.swapcase, lambda c: c[:-1], lambda c: "x", lambda c: ""])
def test_tampered_cursor_is_400(api: APIClient, spoil: Any) -> None:
    answer = api.get(EXPENSES, {"cursor": spoil(cursor_of(api))})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "bad_cursor"


@pytest.mark.usefixtures("_many_alike")
@pytest.mark.parametrize("other", [{"ordering": "amount"}, {"currency": "EUR"}])
def test_cursor_of_another_list_is_400(api: APIClient, other: dict[str, str]) -> None:
    answer = api.get(EXPENSES, {"cursor": cursor_of(api), **other})

    assert answer.json()["errors"][0]["code"] == "bad_cursor"


@pytest.mark.usefixtures("_many_alike")
def test_cursor_of_another_person_is_400(api: APIClient) -> None:
    cursor = cursor_of(api)
    somebody = APIClient()
    somebody.force_login(ExpenseFactory().owner)

    assert somebody.get(EXPENSES, {"cursor": cursor}).status_code == 400
