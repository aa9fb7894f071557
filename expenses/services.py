"""Every write. The API, the admin and scripts call these; nothing else saves a row.

Wrong values raise Django's ValidationError with the field's name, a refused move of the status
too, and a change of what is signed already raises ``LockedError``. A row that went away meanwhile
raises its model's ``DoesNotExist``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from expenses import metrics
from expenses.currencies import in_currency
from expenses.models import Category, Expense, Status
from expenses.workflow import APPROVER_MOVES, LOCKED, OWNER_MOVES
from telemetry import bind, get_logger

log = get_logger(__name__)

for _from, _to in sorted(OWNER_MOVES | APPROVER_MOVES):
    metrics.expenses_status_changes.labels(_from, _to)

EXPENSE_FIELDS = frozenset(
    {"title", "merchant", "amount", "currency", "category", "spent_on", "status", "notes"}
)


class LockedError(Exception):
    """The expense is approved or reimbursed: its owner cannot change it any more."""

    def __init__(self, expense: Expense) -> None:
        super().__init__(f"The expense is {expense.status} and cannot be changed any more.")


def create_expense(owner: User, values: Mapping[str, object]) -> Expense:
    """A new expense of ``owner``; ``values`` by the names of ``EXPENSE_FIELDS``.

    It begins as a draft; the status ``submitted`` hands it in at once.
    """
    wanted = values.get("status", Status.DRAFT)
    fields = {name: value for name, value in values.items() if name != "status"}
    expense = Expense(owner=owner, **_known(fields))
    if wanted != Status.DRAFT:
        _check_move(Status.DRAFT, wanted, OWNER_MOVES)
        expense.status = Status.SUBMITTED
    _check(expense)
    with _refusals_in_words(), transaction.atomic():
        expense.save(force_insert=True)
        created = metrics.expenses_created.labels(expense.currency)
        transaction.on_commit(created.inc)
        if wanted != Status.DRAFT:
            _count_move(Status.DRAFT, expense.status)
    bind(expense_id=expense.pk)
    log.debug("expense created", expense_id=expense.pk)
    return expense


def update_expense(
    expense: Expense, values: Mapping[str, object], *, by_owner: bool = True
) -> Expense:
    """Change what ``values`` names, and nothing if it all is so already; return the fresh row.

    The row is locked and read again, so that of two writers at once neither undoes the other's
    fields. ``by_owner=False`` is for staff, who may correct what is signed.
    """
    with _refusals_in_words(), transaction.atomic():
        fresh = _locked(expense)
        if by_owner and fresh.status in LOCKED:
            raise LockedError(fresh)
        before = fresh.status
        changed = []
        for name, value in _known(values).items():
            if getattr(fresh, name) != value:
                setattr(fresh, name, value)
                changed.append(name)
        if not changed:
            return fresh
        if "status" in changed:
            _check_move(before, fresh.status, OWNER_MOVES)
            _count_move(before, fresh.status)
        _check(fresh)
        _save(fresh, {*changed, "amount"})
    bind(expense_id=fresh.pk)
    return fresh


def delete_expense(expense: Expense, *, by_owner: bool = True) -> None:
    with transaction.atomic():
        fresh = _locked(expense)
        if by_owner and fresh.status in LOCKED:
            raise LockedError(fresh)
        fresh.delete()


def submit_expense(expense: Expense) -> Expense:
    return _move(expense, Status.SUBMITTED, OWNER_MOVES)


def approve_expense(expense: Expense) -> Expense:
    """For holders of ``expenses.approve_expense``; the caller checks the permission."""
    return _move(expense, Status.APPROVED, APPROVER_MOVES)


def reject_expense(expense: Expense) -> Expense:
    """For holders of ``expenses.approve_expense``; the caller checks the permission."""
    return _move(expense, Status.REJECTED, APPROVER_MOVES)


def create_category(owner: User, *, name: str) -> Category:
    category = Category(owner=owner, name=name)
    category.full_clean(exclude={"owner"}, validate_constraints=False)
    with _refusals_in_words(), transaction.atomic():
        category.save(force_insert=True)
    return category


def update_category(category: Category, *, name: str) -> Category:
    with _refusals_in_words(), transaction.atomic():
        fresh = Category.objects.select_for_update().get(pk=category.pk)
        fresh.name = name
        fresh.full_clean(exclude={"owner"}, validate_constraints=False)
        fresh.save(update_fields=["name"])
    return fresh


def delete_category(category: Category) -> None:
    """Its expenses stay, without a category; that is a change of theirs."""
    with transaction.atomic():
        # The lock keeps new expenses from coming in between the two statements.
        fresh = Category.objects.select_for_update().get(pk=category.pk)
        Expense.objects.filter(category=fresh).update(
            category=None, version=F("version") + 1, updated_at=timezone.now()
        )
        fresh.delete()


def _known(values: Mapping[str, object]) -> Mapping[str, object]:
    unknown = values.keys() - EXPENSE_FIELDS
    if unknown:
        raise TypeError(f"not fields of an expense: {', '.join(sorted(unknown))}")
    return values


def _check(expense: Expense) -> None:
    """The rules in words, without a query: constraints and foreign keys are the database's."""
    expense.full_clean(
        exclude={"owner", "category"}, validate_unique=False, validate_constraints=False
    )
    expense.amount = in_currency(expense.amount, expense.currency)


def _locked(expense: Expense) -> Expense:
    rows = Expense.objects.select_related("category").select_for_update(of=("self",))
    return rows.get(pk=expense.pk)


def _save(expense: Expense, fields: set[str]) -> None:
    expense.version += 1
    expense.save(update_fields=fields | {"version", "updated_at"})


def _move(expense: Expense, to: Status, moves: frozenset[tuple[Status, Status]]) -> Expense:
    with transaction.atomic():
        fresh = _locked(expense)
        before = fresh.status
        _check_move(before, to, moves)
        fresh.status = to
        _save(fresh, {"status"})
        _count_move(before, to)
    log.info("expense moved", expense_id=fresh.pk, from_status=before, to_status=str(to))
    return fresh


def _check_move(before: str, after: object, moves: frozenset[tuple[Status, Status]]) -> None:
    if (before, after) not in moves:
        error = ValidationError(
            f"An expense cannot go from {before} to {after} here.", code="status_move"
        )
        raise ValidationError({"status": error})


def _count_move(before: str, after: str) -> None:
    move = metrics.expenses_status_changes.labels(str(before), str(after))
    transaction.on_commit(partial(move.inc))


#: Constraints that only the database can judge, with the field and the words for it.
_REFUSALS = {
    "category_unique_name_per_owner": (
        "name",
        ValidationError("There is a category of this name already.", code="unique"),
    ),
    "expense_category_of_same_owner": (
        "category",
        ValidationError("There is no such category any more.", code="does_not_exist"),
    ),
}


@contextmanager
def _refusals_in_words() -> Iterator[None]:
    """Of two requests at once the database refuses one: say it as a validation error."""
    try:
        yield
    except IntegrityError as error:
        for constraint, (field, refusal) in _REFUSALS.items():
            if constraint in str(error):
                raise ValidationError({field: refusal}) from error
        raise
