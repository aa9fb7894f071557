"""The resources of the API: thin, between ``selectors``, ``services`` and HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from expenses import selectors, services
from expenses.api import pagination
from expenses.api.filters import ExpenseFilter, refuse_unknown_parameters
from expenses.api.serializers import CategorySerializer, ExpenseSerializer
from expenses.models import Category, Expense


class OwnedViewSet(ModelViewSet[Any]):
    """Rows of the caller. What this person may not see is not there: 404."""

    lookup_url_kwarg = "id"
    ordering_fields: tuple[str, ...]
    default_ordering: tuple[str, ...]
    detail_url_name: str

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        known: set[str] = set()
        if self.action == "list":
            filters = getattr(self, "filterset_class", None)
            known = {*pagination.PARAMETERS, *(filters.base_filters if filters else ())}
        refuse_unknown_parameters(request, known)

    @property
    def caller(self) -> User:
        """Whose request this is; the permission has let nobody else through."""
        user = self.request.user
        assert isinstance(user, User)  # noqa: S101 - IsAuthenticated has seen to it
        return user

    def get_success_headers(self, data: Mapping[str, Any]) -> dict[str, str]:
        return {"Location": reverse(self.detail_url_name, args=[data["id"]])}


class ExpenseViewSet(OwnedViewSet):
    """Expenses of the caller; somebody else's are 404. Signed ones cannot be changed: 409."""

    serializer_class = ExpenseSerializer
    filterset_class = ExpenseFilter
    ordering_fields = ("spent_on", "amount", "created_at", "title")
    default_ordering = ("-spent_on",)
    detail_url_name = "expense-detail"

    def get_queryset(self) -> QuerySet[Expense]:
        return selectors.expenses_of(self.request.user)

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        serializer.instance = services.create_expense(self.caller, serializer.validated_data)

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        expense: Expense = serializer.instance  # type: ignore[assignment]  # the row of the path
        serializer.instance = services.update_expense(expense, serializer.validated_data)

    def perform_destroy(self, instance: Expense) -> None:
        services.delete_expense(instance)


class CategoryViewSet(OwnedViewSet):
    """Categories of the caller; somebody else's are 404. Names are unique in any case."""

    serializer_class = CategorySerializer
    ordering_fields = ("name", "created_at")
    default_ordering = ("name",)
    detail_url_name = "category-detail"

    def get_queryset(self) -> QuerySet[Category]:
        return selectors.categories_of(self.request.user)

    def perform_create(self, serializer: BaseSerializer[Any]) -> None:
        serializer.instance = services.create_category(self.caller, **serializer.validated_data)

    def perform_update(self, serializer: BaseSerializer[Any]) -> None:
        category: Category = serializer.instance  # type: ignore[assignment]  # the row of the path
        serializer.instance = services.update_category(category, **serializer.validated_data)

    def perform_destroy(self, instance: Category) -> None:
        services.delete_category(instance)
