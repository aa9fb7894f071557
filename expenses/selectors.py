"""Every read of the API: what a person may see."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q, QuerySet

from expenses.models import Category, Expense

Reader = User | AnonymousUser


def expenses_of(reader: Reader) -> QuerySet[Expense]:
    """The reader's own expenses. Nobody's, for somebody who is not logged in."""
    return Expense.objects.filter(owner_id=reader.pk)


def categories_of(reader: Reader) -> QuerySet[Category]:
    return Category.objects.filter(owner_id=reader.pk)


def containing(text: str) -> Q:
    """Expenses with ``text`` in title, merchant or notes, in any case."""
    return Q(title__icontains=text) | Q(merchant__icontains=text) | Q(notes__icontains=text)
