from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from expenses.models import Category, Expense
from tests.conftest import Sample
from tests.expenses.factories import ExpenseFactory


@pytest.fixture(autouse=True)
def demo(settings: Settings) -> Settings:
    settings.DEMO = True
    settings.DEMO_PASSWORD = "demo-password"
    settings.DEMO_ADMIN_PASSWORD = "admin-password"
    return settings


def seed(expenses: int, users: int = 2) -> str:
    said = StringIO()
    call_command("seed_demo", "--expenses", str(expenses), "--users", str(users), stdout=said)
    return said.getvalue()


def test_people_can_log_in_and_have_expenses() -> None:
    seed(120)

    admin, demo1 = User.objects.get(username="admin"), User.objects.get(username="demo1")
    assert admin.is_superuser
    assert admin.check_password("admin-password")
    assert demo1.check_password("demo-password")
    assert not demo1.is_staff
    assert Expense.objects.count() == 120
    assert Expense.objects.filter(owner=demo1).exists()
    assert Expense.objects.values("currency").distinct().count() > 3
    assert Expense.objects.values("status").distinct().count() == 5


def test_second_run_adds_only_what_is_missing() -> None:
    seed(50)
    User.objects.get(username="admin").set_password("changed")
    before = set(Expense.objects.values_list("id", flat=True))

    again, more = seed(50), seed(60)

    assert "0 expenses were added" in again
    assert "10 expenses were added" in more
    assert before < set(Expense.objects.values_list("id", flat=True))
    assert Category.objects.count() == 12


def test_rows_of_other_people_do_not_count() -> None:
    ExpenseFactory()

    seed(10)

    assert Expense.objects.count() == 11


def test_rows_are_the_same_each_time() -> None:
    def rows() -> list[tuple[object, ...]]:
        fields = ("title", "amount", "currency", "spent_on", "status", "owner__username")
        return list(Expense.objects.order_by("id").values_list(*fields))

    seed(40)
    first = rows()
    Expense.objects.all().delete()
    seed(15)
    seed(40)

    assert rows() == first


def test_seeding_is_not_counted_as_business(sample: Sample) -> None:
    before = sample("expenses_created_total", currency="EUR")

    seed(30)

    assert sample("expenses_created_total", currency="EUR") == before


@pytest.mark.parametrize("name", ["DEMO_PASSWORD", "DEMO_ADMIN_PASSWORD"])
def test_missing_password_is_named(demo: Settings, name: str) -> None:
    setattr(demo, name, "")

    with pytest.raises(CommandError, match=f"{name} is not set"):
        seed(1)

    assert not User.objects.exists()


def test_outside_of_a_demo_it_refuses(demo: Settings) -> None:
    demo.DEMO = False

    with pytest.raises(CommandError, match="DEMO=1"):
        seed(1)

    assert not User.objects.exists()
