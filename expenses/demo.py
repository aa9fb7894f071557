"""Demo data: the same people and bills wherever they are made, in bulk and constant memory.

Rows are written past ``services``: a service at a time would take minutes, and the business
counters are about what people do. The database's constraints hold all the same.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from expenses.currencies import in_currency
from expenses.models import Category, Expense, Status

BATCH = 1000
DAYS = 730
SEED = 20240229

#: Category → merchants with what one buys there and its usual price in euros.
SHOPS: dict[str, list[tuple[str, str, float]]] = {
    "Travel": [
        ("Deutsche Bahn", "Train to the customer", 79.0),
        ("Lufthansa", "Flight", 240.0),
        ("SNCF", "Train to Lyon", 64.0),
        ("Uber", "Ride from the airport", 28.0),
    ],
    "Lodging": [
        ("Motel One", "Hotel, two nights", 189.0),
        ("Ibis", "Hotel, one night", 92.0),
        ("Premier Inn", "Hotel, one night", 84.0),
    ],
    "Meals": [
        ("Pret A Manger", "Lunch", 11.5),
        ("Vapiano", "Dinner with the team", 68.0),
        ("Café Central", "Coffee with a candidate", 14.2),
        ("Wagamama", "Lunch with a customer", 42.0),
    ],
    "Office": [
        ("IKEA Business", "Desk lamp", 39.0),
        ("Staples", "Paper and pens", 23.6),
        ("Logitech", "Keyboard", 89.0),
    ],
    "Software": [
        ("JetBrains", "IDE licence", 199.0),
        ("GitHub", "Team plan", 44.0),
        ("Figma", "Design seats", 75.0),
    ],
    "Training": [
        ("O'Reilly", "Books", 54.0),
        ("PyCon DE", "Conference ticket", 390.0),
    ],
}
#: Currency → how often it comes up, and about how much of it a euro is.
CURRENCIES = {
    "EUR": (60, 1.0),
    "USD": (15, 1.1),
    "GBP": (10, 0.85),
    "CHF": (8, 0.95),
    "JPY": (5, 165.0),
    "KWD": (2, 0.33),
}
STATUSES = {
    Status.REIMBURSED: 40,
    Status.APPROVED: 20,
    Status.SUBMITTED: 18,
    Status.DRAFT: 16,
    Status.REJECTED: 6,
}


def make_admin(password: str) -> User:
    """The superuser ``admin``. An existing one keeps its password."""
    admin, is_new = User.objects.get_or_create(
        username="admin", defaults={"is_staff": True, "is_superuser": True}
    )
    if is_new:
        admin.set_password(password)
        admin.save()
    return admin


def make_users(count: int, password: str) -> list[User]:
    """Plain users ``demo1`` … with a category for each kind of shop."""
    users = []
    for number in range(1, count + 1):
        user, is_new = User.objects.get_or_create(username=f"demo{number}")
        if is_new:
            user.set_password(password)
            user.save()
        Category.objects.bulk_create(
            [Category(owner=user, name=name) for name in SHOPS], ignore_conflicts=True
        )
        users.append(user)
    return users


def make_expenses(users: list[User], target: int) -> int:
    """Add demo expenses until ``users`` have ``target`` together; return how many were added."""
    there = Expense.objects.filter(owner__in=users).count()
    if there >= target:
        return 0
    rows = itertools.islice(_expenses(users), there, target)
    made = 0
    while batch := list(itertools.islice(rows, BATCH)):
        with transaction.atomic():
            Expense.objects.bulk_create(batch)
        made += len(batch)
    return made


def _expenses(users: list[User]) -> Iterator[Expense]:
    """Without end, and the same each time: only the dates move with the day."""
    categories = {
        (category.owner_id, category.name): category
        for category in Category.objects.filter(owner__in=users)
    }
    chance = random.Random(SEED)  # noqa: S311 - plausible, not secret
    today = timezone.localdate()
    while True:
        user = chance.choice(users)
        kind = chance.choices(list(SHOPS), [4, 2, 6, 2, 2, 1])[0]
        merchant, title, price = chance.choice(SHOPS[kind])
        weights = [weight for weight, _rate in CURRENCIES.values()]
        currency = chance.choices(list(CURRENCIES), weights)[0]
        amount = Decimal(price * CURRENCIES[currency][1] * chance.lognormvariate(0, 0.35))
        age = int(DAYS * chance.random() ** 1.5)
        status = chance.choices(list(STATUSES), list(STATUSES.values()))[0]
        yield Expense(
            owner=user,
            title=title,
            merchant=merchant,
            amount=in_currency(max(amount, Decimal(1)), currency),
            currency=currency,
            category=categories.get((user.pk, kind)) if chance.random() < 0.95 else None,
            spent_on=today - dt.timedelta(days=age),
            status=Status.DRAFT if age == 0 else status,
            notes="Receipt is with the office." if chance.random() < 0.1 else "",
        )
