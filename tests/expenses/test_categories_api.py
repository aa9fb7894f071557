from __future__ import annotations

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from expenses.models import Category
from tests.expenses.factories import CategoryFactory, ExpenseFactory

CATEGORIES = "/api/v1/categories/"


def test_category_from_creation_to_deletion(api: APIClient) -> None:
    created = api.post(CATEGORIES, {"name": " Travel "})
    path = created["Location"]

    renamed = api.patch(path, {"name": "Trips"})
    replaced = api.put(path, {"name": "Journeys"})
    deleted = api.delete(path)

    assert (created.status_code, created.json()["name"]) == (201, "Travel")
    assert (renamed.json()["name"], replaced.json()["name"]) == ("Trips", "Journeys")
    assert (deleted.status_code, api.get(path).status_code) == (204, 404)


def test_name_in_use_is_refused_in_any_case(api: APIClient, user: User) -> None:
    CategoryFactory(owner=user, name="Travel")
    other = CategoryFactory(owner=user, name="Meals")

    created = api.post(CATEGORIES, {"name": "TRAVEL"})
    renamed = api.patch(f"{CATEGORIES}{other.pk}/", {"name": "travel"})

    for answer in (created, renamed):
        error = answer.json()["errors"][0]
        assert (answer.status_code, error["field"], error["code"]) == (400, "name", "unique")
    assert Category.objects.count() == 2


def test_two_people_may_have_the_same_name(api: APIClient) -> None:
    CategoryFactory(name="Travel")

    assert api.post(CATEGORIES, {"name": "Travel"}).status_code == 201


def test_somebody_elses_category_is_404(api: APIClient) -> None:
    path = f"{CATEGORIES}{CategoryFactory().pk}/"

    assert api.get(path).status_code == 404
    assert api.patch(path, {"name": "Mine"}).status_code == 404
    assert api.delete(path).status_code == 404


def test_expenses_outlive_their_category(api: APIClient, user: User) -> None:
    category = CategoryFactory(owner=user)
    expense = ExpenseFactory(owner=user, category=category)

    api.delete(f"{CATEGORIES}{category.pk}/")

    left = api.get(f"/api/v1/expenses/{expense.pk}/").json()
    assert (left["category"], left["version"]) == (None, 2)


def test_list_is_ordered_by_name_and_pages(api: APIClient, user: User) -> None:
    for name in ("b", "c", "a"):
        CategoryFactory(owner=user, name=name)

    first = api.get(CATEGORIES, {"limit": 2}).json()
    second = api.get(first["next"]).json()

    assert [row["name"] for row in first["results"] + second["results"]] == ["a", "b", "c"]
    assert second["next"] is None
