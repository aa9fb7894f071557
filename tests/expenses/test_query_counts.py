from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from rest_framework.test import APIClient

from expenses.models import Category, Expense
from tests.expenses import query_counts
from tests.expenses.factories import CategoryFactory, ExpenseFactory, body

Counted = Callable[[int], Any]


def make_rows(owner: User, count: int) -> dict[str, int]:
    for _ in range(count):
        ExpenseFactory(owner=owner, category=CategoryFactory(owner=owner))
    return {
        "expense": Expense.objects.latest("id").pk,
        "category": Category.objects.latest("id").pk,
    }


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("call", query_counts.API, ids=" ".join)
def test_endpoint_runs_the_queries_of_the_table(
    api: APIClient,
    user: User,
    django_assert_num_queries: Counted,
    call: tuple[str, str],
    rows: int,
) -> None:
    method, path = call
    there = make_rows(user, rows)
    sent: dict[str, Any] | None = None
    if method in {"POST", "PUT", "PATCH"}:
        sent = {"name": "New"} if "categories" in path else body(category=there["category"])

    with django_assert_num_queries(query_counts.API[call]):
        answer = getattr(api, method.lower())(path.format(**there), sent)

    assert answer.status_code < 300, answer.content


@pytest.mark.parametrize("rows", [1, 7])
@pytest.mark.parametrize("path", query_counts.ADMIN)
def test_admin_page_runs_the_queries_of_the_table(
    admin_pages: Client, user: User, django_assert_num_queries: Counted, path: str, rows: int
) -> None:
    there = make_rows(user, rows)
    ContentType.objects.clear_cache()

    with django_assert_num_queries(query_counts.ADMIN[path]):
        answer = admin_pages.get(path.format(**there))

    assert answer.status_code == 200
