"""Categories in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from expenses import services
from expenses.admin.base import ServiceAdmin
from expenses.models import Category


@admin.register(Category)
class CategoryAdmin(ServiceAdmin):
    list_display = ("name", "owner", "created_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    search_help_text = "Name of the category or of its owner"
    ordering = ("name", "id")
    readonly_fields = ("created_at",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Category], search_term: str
    ) -> tuple[QuerySet[Category], bool]:
        """With the owners, whom an autocomplete shows: several people have a "Travel"."""
        return super().get_search_results(request, queryset.select_related("owner"), search_term)

    def create(self, values: dict[str, Any]) -> Category:
        return services.create_category(values["owner"], name=values["name"])

    def update(self, row: Category, values: dict[str, Any]) -> None:
        if values:
            services.update_category(row, **values)

    def remove(self, row: Category) -> None:
        services.delete_category(row)
