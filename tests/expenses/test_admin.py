from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from knox.models import AuthToken

from expenses.models import Category, Expense
from tests.expenses.factories import CategoryFactory, ExpenseFactory, UserFactory

EXPENSES = "/admin/expenses/expense/"


def form(expense: Expense, **changes: Any) -> dict[str, Any]:
    return {
        "title": expense.title,
        "merchant": expense.merchant,
        "amount": str(expense.amount),
        "currency": expense.currency,
        "category": expense.category_id or "",
        "spent_on": expense.spent_on.isoformat(),
        "notes": expense.notes,
        **changes,
    }


def staff(*permissions: str) -> Client:
    person = UserFactory(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


def act(client: Client, action: str, *expenses: Expense) -> Any:
    sent = {"action": action, "_selected_action": [expense.pk for expense in expenses]}
    return client.post(EXPENSES, sent, follow=True)


def test_list_shows_money_and_finds_by_text(admin_pages: Client) -> None:
    ExpenseFactory(title="Flight", amount=Decimal("1240.5"))
    ExpenseFactory(title="Bus")

    page = admin_pages.get(EXPENSES, {"q": "flight"}).content.decode()

    assert "1,240.50\N{NO-BREAK SPACE}EUR" in page
    assert "Bus" not in page


def test_people_and_categories_are_searched_not_listed(admin_pages: Client) -> None:
    expense = ExpenseFactory(category=None)
    CategoryFactory(name="Never listed")

    page = admin_pages.get(f"{EXPENSES}{expense.pk}/change/").content.decode()

    assert "admin-autocomplete" in page
    assert "Never listed" not in page


def test_autocomplete_tells_equal_categories_apart(admin_pages: Client) -> None:
    for name in ("ada", "bob"):
        CategoryFactory(name="Travel", owner=UserFactory(username=name))

    found = admin_pages.get(
        "/admin/autocomplete/",
        {"app_label": "expenses", "model_name": "expense", "field_name": "category", "term": "tra"},
    ).json()

    assert [row["text"] for row in found["results"]] == ["Travel (ada)", "Travel (bob)"]


def test_staff_adds_an_expense_for_somebody(admin_pages: Client, user: User) -> None:
    sent = form(ExpenseFactory.build(owner=user), owner=user.pk, amount="12.5")

    answer = admin_pages.post(f"{EXPENSES}add/", sent)

    expense = Expense.objects.get()
    assert answer.status_code == 302
    assert (expense.owner, str(expense.amount), expense.version) == (user, "12.50", 1)


def test_change_raises_the_version_and_keeps_owner_and_status(admin_pages: Client) -> None:
    expense = ExpenseFactory()
    sent = form(expense, title="Bus", owner=UserFactory().pk, status="approved", version=99)

    admin_pages.post(f"{EXPENSES}{expense.pk}/change/", sent)

    changed = Expense.objects.get()
    assert (changed.title, changed.version, changed.status) == ("Bus", 2, "draft")
    assert changed.owner == expense.owner


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"amount": "1.005"}, "EUR has 2 decimals, no more."),
        ({"amount": "0"}, "The amount must be greater than zero."),
        ({"amount": "1.5", "currency": "JPY"}, "JPY has no decimals."),
        ({"spent_on": "2090-01-01"}, "The date lies in the future."),
        ({"title": "a\x1bb"}, "Control characters are not allowed."),
    ],
)
def test_form_says_the_same_rules(
    admin_pages: Client, changes: dict[str, str], message: str
) -> None:
    expense = ExpenseFactory()

    answer = admin_pages.post(f"{EXPENSES}{expense.pk}/change/", form(expense, **changes))

    assert message in answer.content.decode()
    assert Expense.objects.get().version == 1


def test_form_refuses_a_category_of_somebody_else(admin_pages: Client) -> None:
    expense = ExpenseFactory()
    sent = form(expense, category=CategoryFactory().pk)

    answer = admin_pages.post(f"{EXPENSES}{expense.pk}/change/", sent)

    assert "The category belongs to somebody else." in answer.content.decode()


def test_approval_moves_what_can_move_and_says_what_cannot(admin_pages: Client) -> None:
    ready, draft = ExpenseFactory(status="submitted"), ExpenseFactory(title="Too early")

    page = act(admin_pages, "approve", ready, draft).content.decode()

    ready.refresh_from_db()
    assert (ready.status, ready.version) == ("approved", 2)
    assert Expense.objects.get(pk=draft.pk).status == "draft"
    assert "1 approved." in page
    assert "Too early (64.00 EUR): An expense cannot go from draft to approved here." in page


@pytest.mark.parametrize(
    ("permissions", "allowed"),
    [
        (("view_expense",), False),
        (("view_expense", "change_expense"), False),
        (("view_expense", "approve_expense"), True),
    ],
)
def test_only_approvers_approve(permissions: tuple[str, ...], allowed: bool) -> None:
    expense = ExpenseFactory(status="submitted")

    act(staff(*permissions), "approve", expense)

    expense.refresh_from_db()
    assert (expense.status == "approved") is allowed


def test_staff_who_may_look_cannot_change(user: User) -> None:
    expense = ExpenseFactory()
    client = staff("view_expense")
    path = f"{EXPENSES}{expense.pk}/"

    assert client.get(f"{path}change/").status_code == 200
    assert client.post(f"{path}change/", form(expense, title="Bus")).status_code == 403
    assert client.post(f"{path}delete/", {"post": "yes"}).status_code == 403
    assert Expense.objects.get().title == "Train"


def test_staff_without_permissions_sees_nothing() -> None:
    assert staff().get(EXPENSES).status_code == 403


def test_people_who_are_not_staff_are_sent_to_the_login(user: User) -> None:
    client = Client()
    client.force_login(user)

    answer = client.get(EXPENSES)

    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_deleting_a_category_changes_its_expenses(admin_pages: Client) -> None:
    category = CategoryFactory()
    expense = ExpenseFactory(owner=category.owner, category=category)

    admin_pages.post(f"/admin/expenses/category/{category.pk}/delete/", {"post": "yes"})

    expense.refresh_from_db()
    assert not Category.objects.exists()
    assert expense.version == 2


def test_category_name_in_use_is_said_in_the_form(admin_pages: Client, user: User) -> None:
    CategoryFactory(owner=user, name="Travel")

    answer = admin_pages.post("/admin/expenses/category/add/", {"owner": user.pk, "name": "travel"})

    assert "There is a category of this name already." in answer.content.decode()


def test_tokens_are_ended_but_not_made_or_shown(admin_pages: Client, user: User) -> None:
    row, _token = AuthToken.objects.create(user)
    tokens = "/admin/knox/authtoken/"

    page = admin_pages.get(tokens).content.decode()
    added = admin_pages.get(f"{tokens}add/")
    admin_pages.post(
        tokens, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    )

    assert user.username in page
    assert added.status_code == 403
    assert not AuthToken.objects.exists()
