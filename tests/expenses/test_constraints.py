"""The database refuses what the rules forbid, whoever asks it. Straight SQL, nothing between."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.db.utils import DataError

from expenses.models import Category, Expense
from tests.expenses.factories import CategoryFactory, ExpenseFactory, UserFactory


def insert(owner: User, **changes: object) -> None:
    """Insert an expense by SQL; ``changes`` are columns with other values than the factory's."""
    expense = ExpenseFactory.build(owner=owner)
    row: dict[str, object] = {
        field.column: field.get_db_prep_save(field.pre_save(expense, add=True), connection)
        for field in Expense._meta.concrete_fields
        if not field.primary_key
    }
    row |= changes
    marks = ", ".join(["%s"] * len(row))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO expenses_expense ({', '.join(row)}) VALUES ({marks})",
            list(row.values()),
        )


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"amount": "0"}, "expense_amount_in_bounds"),
        ({"amount": "-0.01"}, "expense_amount_in_bounds"),
        ({"amount": "1000000000000"}, "expense_amount_in_bounds"),
        ({"amount": "NaN"}, "expense_amount_in_bounds"),
        ({"amount": "Infinity"}, "expense_amount_in_bounds"),
        ({"currency": "XYZ"}, "expense_currency_known"),
        ({"currency": "eur"}, "expense_currency_known"),
        ({"amount": "0.001"}, "expense_2_decimals_fit"),
        ({"amount": "12.500001"}, "expense_2_decimals_fit"),
        ({"amount": "1200.5", "currency": "JPY"}, "expense_0_decimals_fit"),
        ({"amount": "1.0005", "currency": "KWD"}, "expense_3_decimals_fit"),
        ({"amount": "1.00005", "currency": "CLF"}, "expense_4_decimals_fit"),
        ({"spent_on": "1969-12-31"}, "expense_date_in_bounds"),
        ({"spent_on": "2101-01-01"}, "expense_date_in_bounds"),
        ({"status": "lost"}, "expense_status_known"),
        ({"title": " "}, "expense_title_not_blank"),
        ({"notes": "n" * 4001}, "expense_notes_bounded"),
    ],
)
def test_database_refuses(user: User, changes: dict[str, object], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        insert(user, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "999999999999.99"},
        {"amount": "1200", "currency": "JPY"},
        {"amount": "1.005", "currency": "KWD"},
        {"amount": "1.0005", "currency": "CLF"},
        {"spent_on": "1970-01-01"},
        {"spent_on": "2100-12-31"},
    ],
)
def test_database_takes_the_bounds_themselves(user: User, changes: dict[str, object]) -> None:
    insert(user, **changes)

    assert Expense.objects.count() == 1


@pytest.mark.parametrize("field", ["title", "merchant"])
def test_database_refuses_long_texts(user: User, field: str) -> None:
    with pytest.raises(DataError):
        insert(user, **{field: "t" * 201})


def test_category_of_somebody_else_is_refused(user: User) -> None:
    strange = CategoryFactory()

    with pytest.raises(IntegrityError, match="expense_category_of_same_owner"):
        insert(user, category_id=strange.pk)


def test_category_cannot_move_to_another_owner_under_its_expenses(user: User) -> None:
    category = CategoryFactory(owner=user)
    ExpenseFactory(owner=user, category=category)

    with pytest.raises(IntegrityError, match="expense_category_of_same_owner"):
        Category.objects.update(owner=UserFactory())


def test_category_names_are_unique_for_one_owner_in_any_case(user: User) -> None:
    CategoryFactory(owner=user, name="Travel")
    CategoryFactory(name="Travel")

    with pytest.raises(IntegrityError, match="category_unique_name_per_owner"):
        CategoryFactory(owner=user, name="TRAVEL")


def test_category_name_is_not_blank(user: User) -> None:
    with pytest.raises(IntegrityError, match="category_name_not_blank"):
        CategoryFactory(owner=user, name=" ")


def test_a_person_goes_with_categories_and_expenses(user: User) -> None:
    ExpenseFactory(owner=user, category=CategoryFactory(owner=user))

    user.delete()

    assert not Expense.objects.exists()
    assert not Category.objects.exists()
