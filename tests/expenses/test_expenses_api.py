from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.test import APIClient

from expenses.api.views import ExpenseViewSet
from expenses.models import Expense
from tests.expenses.factories import CategoryFactory, ExpenseFactory, body

EXPENSES = "/api/v1/expenses/"


def path(expense: Expense) -> str:
    return f"{EXPENSES}{expense.pk}/"


def errors(answer: Any) -> list[tuple[str, str]]:
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


def test_created_expense_comes_back_whole(api: APIClient, user: User) -> None:
    category = CategoryFactory(owner=user)

    answer = api.post(EXPENSES, body(category=category.pk, notes="two\nlines"))

    created = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == f"{EXPENSES}{created['id']}/"
    assert created == api.get(answer["Location"]).json()
    assert created["created_at"].endswith("Z")
    assert created == body(category=category.pk, notes="two\nlines") | {
        "id": created["id"],
        "status": "draft",
        "created_at": created["created_at"],
        "updated_at": created["updated_at"],
        "version": 1,
    }


@pytest.mark.parametrize(
    ("sent", "currency", "kept"),
    [
        ("12.5", "EUR", "12.50"),
        ("12.500", "EUR", "12.50"),
        (12, "EUR", "12.00"),
        (12.5, "EUR", "12.50"),
        ("1200", "JPY", "1200"),
        ("1.005", "KWD", "1.005"),
        ("999999999999.99", "EUR", "999999999999.99"),
    ],
)
def test_money_is_exact(api: APIClient, sent: object, currency: str, kept: str) -> None:
    answer = api.post(EXPENSES, body(amount=sent, currency=currency))

    assert answer.json()["amount"] == kept
    assert api.get(answer["Location"]).json()["amount"] == kept


def test_json_number_with_many_digits_is_not_a_float(api: APIClient) -> None:
    sent = '{"title": "T", "amount": 123456789012.07, "currency": "EUR", "spent_on": "2026-03-14"}'

    answer = api.post(EXPENSES, sent, content_type="application/json")

    assert answer.json()["amount"] == "123456789012.07"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": "0"}, ("amount", "min_value")),
        ({"amount": "-0.00"}, ("amount", "min_value")),
        ({"amount": "-5"}, ("amount", "min_value")),
        ({"amount": "1000000000000"}, ("amount", "max_value")),
        ({"amount": "9" * 30}, ("amount", "invalid")),
        ({"amount": 10**400}, ("amount", "invalid")),
        ({"amount": "1e5"}, ("amount", "invalid")),
        ({"amount": "NaN"}, ("amount", "invalid")),
        ({"amount": "Infinity"}, ("amount", "invalid")),
        ({"amount": "\N{FULLWIDTH DIGIT ONE}2"}, ("amount", "invalid")),
        ({"amount": "12,50"}, ("amount", "invalid")),
        ({"amount": True}, ("amount", "invalid")),
        ({"amount": None}, ("amount", "null")),
        ({"amount": [1]}, ("amount", "invalid")),
        ({"amount": "12.505"}, ("amount", "too_many_decimals")),
        ({"amount": "12.5", "currency": "JPY"}, ("amount", "too_many_decimals")),
        ({"currency": "XYZ"}, ("currency", "invalid_choice")),
        ({"currency": "eur"}, ("currency", "invalid_choice")),
        ({"spent_on": "1969-12-31"}, ("spent_on", "out_of_bounds")),
        ({"spent_on": "2101-01-01"}, ("spent_on", "out_of_bounds")),
        ({"spent_on": "2090-01-01"}, ("spent_on", "in_the_future")),
        ({"spent_on": "14.03.2026"}, ("spent_on", "invalid")),
        ({"spent_on": "2026-02-30"}, ("spent_on", "invalid")),
        ({"spent_on": 20260314}, ("spent_on", "invalid")),
        ({"title": "  "}, ("title", "blank")),
        ({"title": "t" * 201}, ("title", "max_length")),
        ({"title": "a\x00b"}, ("title", "null_characters_not_allowed")),
        ({"title": "a\x1bb"}, ("title", "control_characters")),
        ({"title": {"a": 1}}, ("title", "invalid")),
        ({"notes": "n" * 4001}, ("notes", "max_length")),
        ({"category": 999999}, ("category", "does_not_exist")),
        ({"category": 10**30}, ("category", "does_not_exist")),
        ({"category": "1"}, ("category", "incorrect_type")),
        ({"category": 1.5}, ("category", "incorrect_type")),
        ({"status": "approved"}, ("status", "status_move")),
        ({"status": "lost"}, ("status", "invalid_choice")),
        ({"ammount": "1"}, ("ammount", "unknown_field")),
    ],
)
def test_wrong_values_are_refused_and_nothing_is_written(
    api: APIClient, changes: dict[str, object], error: tuple[str, str]
) -> None:
    answer = api.post(EXPENSES, body(**changes))

    assert answer.status_code == 400, answer.content
    assert error in errors(answer)
    assert not Expense.objects.exists()


def test_lone_surrogate_is_refused(api: APIClient) -> None:
    sent = '{"title": "\\ud800", "amount": "1", "currency": "EUR", "spent_on": "2026-03-14"}'

    answer = api.post(EXPENSES, sent, content_type="application/json")

    assert errors(answer) == [("title", "surrogate_characters_not_allowed")]


def test_tomorrow_is_allowed_for_travellers(api: APIClient) -> None:
    tomorrow = timezone.localdate() + timezone.timedelta(days=1)

    assert api.post(EXPENSES, body(spent_on=tomorrow.isoformat())).status_code == 201


def test_patch_changes_what_it_names(api: APIClient, user: User) -> None:
    expense = ExpenseFactory(owner=user)

    answer = api.patch(path(expense), {"amount": "65.10"})

    changed = answer.json()
    assert answer.status_code == 200
    assert (changed["amount"], changed["merchant"], changed["version"]) == ("65.10", "SNCF", 2)


def test_put_replaces_all_but_the_status(api: APIClient, user: User) -> None:
    category = CategoryFactory(owner=user)
    expense = ExpenseFactory(owner=user, notes="old", status="submitted", category=category)
    sent = {"title": "Bus", "amount": "9.00", "currency": "EUR", "spent_on": "2026-03-15"}

    answer = api.put(path(expense), sent)

    replaced = answer.json()
    assert answer.status_code == 200
    assert sent.items() <= replaced.items()
    assert (replaced["notes"], replaced["merchant"], replaced["category"]) == ("", "", None)
    assert replaced["status"] == "submitted"


def test_put_needs_all_that_is_required(api: APIClient, user: User) -> None:
    answer = api.put(path(ExpenseFactory(owner=user)), {"title": "Bus"})

    assert {field for field, code in errors(answer)} == {"amount", "currency", "spent_on"}


def test_what_was_read_can_be_sent_back(api: APIClient, user: User) -> None:
    expense = ExpenseFactory(owner=user)

    answer = api.put(path(expense), api.get(path(expense)).json())

    assert (answer.status_code, answer.json()["version"]) == (200, 1)


def test_owner_hands_in_and_takes_back(api: APIClient, user: User) -> None:
    expense = ExpenseFactory(owner=user)

    there = api.patch(path(expense), {"status": "submitted"}).json()
    back = api.patch(path(expense), {"status": "draft"}).json()

    assert (there["status"], back["status"], back["version"]) == ("submitted", "draft", 3)


def test_owner_cannot_approve(api: APIClient, user: User) -> None:
    expense = ExpenseFactory(owner=user, status="submitted")

    answer = api.patch(path(expense), {"status": "approved"})

    assert errors(answer) == [("status", "status_move")]


@pytest.mark.parametrize("method", ["patch", "put", "delete"])
def test_signed_expense_is_409(api: APIClient, user: User, method: str) -> None:
    expense = ExpenseFactory(owner=user, status="approved")

    answer = getattr(api, method)(path(expense), None if method == "delete" else body())

    assert (answer.status_code, answer.json()["code"]) == (409, "locked")
    assert Expense.objects.filter(pk=expense.pk, version=1).exists()


def test_delete_is_204_then_404(api: APIClient, user: User) -> None:
    expense = ExpenseFactory(owner=user)

    assert api.delete(path(expense)).status_code == 204
    assert api.get(path(expense)).status_code == 404


@pytest.mark.parametrize("method", ["get", "patch", "put", "delete"])
def test_somebody_elses_expense_is_not_there(api: APIClient, method: str) -> None:
    strange = ExpenseFactory()

    answer = getattr(api, method)(path(strange), None if method == "delete" else {})

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert Expense.objects.filter(pk=strange.pk, version=1).exists()


def test_row_that_goes_away_under_a_change_is_404(
    api: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    expense = ExpenseFactory(owner=user)
    found = ExpenseViewSet.get_object

    def found_and_gone(view: ExpenseViewSet) -> Any:
        row = found(view)
        Expense.objects.all().delete()
        return row

    monkeypatch.setattr(ExpenseViewSet, "get_object", found_and_gone)

    assert api.patch(path(expense), {"title": "Bus"}).status_code == 404


def test_somebody_elses_rows_are_not_listed(api: APIClient) -> None:
    ExpenseFactory()

    assert api.get(EXPENSES).json() == {"results": [], "next": None}


def test_somebody_elses_category_cannot_be_used(api: APIClient) -> None:
    answer = api.post(EXPENSES, body(category=CategoryFactory().pk))

    assert errors(answer) == [("category", "does_not_exist")]


@pytest.mark.parametrize("number", ["0", "9" * 30])
def test_ids_that_cannot_be_are_404(api: APIClient, number: str) -> None:
    assert api.get(f"{EXPENSES}{number}/").status_code == 404
