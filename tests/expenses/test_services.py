from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from expenses import services
from expenses.models import Category, Expense, Status
from testing.servers import poll
from tests.conftest import Sample
from tests.expenses.factories import CategoryFactory, ExpenseFactory


def values(**changes: object) -> dict[str, object]:
    return {
        "title": "Train",
        "amount": Decimal("64.00"),
        "currency": "EUR",
        "spent_on": dt.date(2026, 3, 14),
        **changes,
    }


def test_amount_is_kept_with_the_decimals_of_its_currency(user: User) -> None:
    expense = services.create_expense(user, values(amount=Decimal("12.5000")))

    assert str(Expense.objects.get(pk=expense.pk).amount) == "12.50"


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"amount": Decimal(0)}, "amount", "min_value"),
        ({"amount": Decimal(-1)}, "amount", "min_value"),
        ({"amount": Decimal("1E+400")}, "amount", "max_value"),
        ({"amount": Decimal("NaN")}, "amount", "invalid"),
        ({"amount": Decimal("1.005")}, "amount", "too_many_decimals"),
        ({"currency": "XYZ"}, "currency", "invalid_choice"),
        ({"spent_on": dt.date(1969, 12, 31)}, "spent_on", "out_of_bounds"),
        ({"spent_on": dt.date(2099, 1, 1)}, "spent_on", "in_the_future"),
        ({"title": "a\x00b"}, "title", "control_characters"),
        ({"title": "a\nb"}, "title", "control_characters"),
        ({"notes": "\ud800"}, "notes", "control_characters"),
        ({"status": "approved"}, "status", "status_move"),
    ],
)
def test_wrong_values_are_refused_with_field_and_code(
    user: User, changes: dict[str, object], field: str, code: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        services.create_expense(user, values(**changes))

    assert code in [error.code for error in refused.value.error_dict[field]]
    assert not Expense.objects.exists()


def test_notes_may_have_lines(user: User) -> None:
    expense = services.create_expense(user, values(notes="one\r\n\ttwo"))

    assert expense.notes == "one\r\n\ttwo"


def test_version_rises_with_each_change_and_only_then(user: User) -> None:
    expense = ExpenseFactory(owner=user)

    changed = services.update_expense(expense, {"title": "Bus"})
    unchanged = services.update_expense(expense, {"title": "Bus"})

    assert (changed.version, unchanged.version) == (2, 2)
    assert changed.updated_at > expense.updated_at


def test_two_changes_of_an_old_copy_do_not_undo_each_other(user: User) -> None:
    expense = ExpenseFactory(owner=user)
    copy = Expense.objects.get(pk=expense.pk)

    services.update_expense(expense, {"title": "Bus"})
    services.update_expense(copy, {"merchant": "Flixbus"})

    expense.refresh_from_db()
    assert (expense.title, expense.merchant, expense.version) == ("Bus", "Flixbus", 3)


def test_new_currency_is_checked_against_the_old_amount(user: User) -> None:
    expense = ExpenseFactory(owner=user, amount=Decimal("64.50"))

    with pytest.raises(ValidationError, match="JPY has no decimals"):
        services.update_expense(expense, {"currency": "JPY"})


@pytest.mark.parametrize("status", [Status.APPROVED, Status.REIMBURSED])
def test_signed_expense_is_closed_to_its_owner_but_not_to_staff(user: User, status: str) -> None:
    expense = ExpenseFactory(owner=user, status=status)

    with pytest.raises(services.LockedError):
        services.update_expense(expense, {"amount": Decimal(9999)})
    with pytest.raises(services.LockedError):
        services.delete_expense(expense)
    corrected = services.update_expense(expense, {"title": "Bus"}, by_owner=False)

    assert corrected.title == "Bus"


def test_category_of_somebody_else_is_refused_in_words(user: User) -> None:
    with pytest.raises(ValidationError, match="belongs to somebody else"):
        services.create_expense(user, values(category=CategoryFactory()))


def test_category_that_went_away_meanwhile_is_refused_in_words(user: User) -> None:
    category = CategoryFactory(owner=user)
    Category.objects.filter(pk=category.pk).delete()

    with pytest.raises(ValidationError, match="no such category any more"):
        services.create_expense(user, values(category=category))
    with pytest.raises(ValidationError, match="no such category any more"):
        services.update_expense(ExpenseFactory(owner=user), {"category": category})


@pytest.mark.django_db(transaction=True)
def test_category_is_not_deleted_under_an_expense_that_is_just_written(user: User) -> None:
    category = CategoryFactory(owner=user)

    def delete() -> None:
        services.delete_category(category)
        connection.close()

    deleting = threading.Thread(target=delete)
    with transaction.atomic():
        expense = services.create_expense(user, values(category=category))
        deleting.start()
        poll(lambda: waiting_for_a_lock() == 1, 10, "the deletion did not wait")
    deleting.join(10)

    expense.refresh_from_db()
    assert (expense.category, expense.version) == (None, 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "second",
    [services.approve_expense, services.reject_expense, services.delete_expense],
    ids=lambda service: service.__name__,
)
def test_of_two_decisions_at_once_the_second_sees_the_first(
    user: User, second: Callable[[Expense], object]
) -> None:
    expense = ExpenseFactory(owner=user, status=Status.SUBMITTED)
    refusals: list[Exception] = []

    def decide() -> None:
        try:
            second(Expense.objects.get(pk=expense.pk))
        except (ValidationError, services.LockedError) as error:
            refusals.append(error)
        finally:
            connection.close()

    deciding = threading.Thread(target=decide)
    with transaction.atomic():
        services.approve_expense(expense)
        deciding.start()
        poll(lambda: waiting_for_a_lock() == 1, 10, "the second decision did not wait")
    deciding.join(10)

    expense.refresh_from_db()
    assert expense.status == Status.APPROVED
    assert len(refusals) == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_none_is_lost(user: User) -> None:
    expense = ExpenseFactory(owner=user, title="first", notes="first")

    def change() -> None:
        services.update_expense(Expense.objects.get(pk=expense.pk), {"notes": "second"})
        connection.close()

    changing = threading.Thread(target=change)
    with transaction.atomic():
        services.update_expense(expense, {"title": "second"})
        changing.start()
        poll(lambda: waiting_for_a_lock() == 1, 10, "the second change did not wait")
    changing.join(10)

    expense.refresh_from_db()
    assert (expense.title, expense.notes, expense.version) == ("second", "second", 3)


def waiting_for_a_lock() -> int:
    with connection.cursor() as cursor:
        # What a transaction saw of others once, it sees to its end.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(cursor.fetchone()[0])


def test_deleting_a_category_changes_its_expenses(user: User) -> None:
    category = CategoryFactory(owner=user)
    expense = ExpenseFactory(owner=user, category=category)

    services.delete_category(category)

    expense.refresh_from_db()
    assert (expense.category, expense.version) == (None, 2)


@pytest.mark.django_db(transaction=True)
def test_created_expenses_are_counted_after_the_commit(user: User, sample: Sample) -> None:
    before = sample("expenses_created_total", currency="KWD")

    services.create_expense(user, values(currency="KWD"))
    with transaction.atomic():
        services.create_expense(user, values(currency="KWD"))
        transaction.set_rollback(True)

    assert sample("expenses_created_total", currency="KWD") == before + 1


@pytest.mark.django_db(transaction=True)
def test_status_moves_are_counted(user: User, sample: Sample) -> None:
    def count(before: str, after: str) -> float:
        return sample("expenses_status_changes_total", from_status=before, to_status=after)

    submitted, rejected = count("draft", "submitted"), count("submitted", "rejected")
    expense = ExpenseFactory(owner=user)

    services.submit_expense(expense)
    services.reject_expense(expense)

    assert count("draft", "submitted") == submitted + 1
    assert count("submitted", "rejected") == rejected + 1


def test_what_is_not_submitted_cannot_be_approved(user: User) -> None:
    expense = ExpenseFactory(owner=user)

    with pytest.raises(ValidationError, match="cannot go from draft to approved"):
        services.approve_expense(expense)
