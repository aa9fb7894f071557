"""Expenses in the admin: to look through, correct, and decide about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from expenses import services
from expenses.admin.base import ServiceAdmin
from expenses.currencies import in_currency
from expenses.models import Expense

SHOWN_PROBLEMS = 5


@admin.register(Expense)
class ExpenseAdmin(ServiceAdmin):
    list_display = ("title", "merchant", "money", "category_name", "owner", "spent_on", "status")
    list_select_related = ("owner", "category")
    list_filter = ("status", "spent_on", ("currency", admin.AllValuesFieldListFilter))
    search_fields = ("title", "merchant", "notes", "owner__username")
    search_help_text = "Title, merchant, notes or the owner's name"
    date_hierarchy = "spent_on"
    ordering = ("-spent_on", "-id")
    autocomplete_fields = ("owner", "category")
    readonly_fields = ("status", "version", "created_at", "updated_at")
    actions = ("submit", "approve", "reject")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "owner",
                    "title",
                    "merchant",
                    ("amount", "currency"),
                    "category",
                    "spent_on",
                    "notes",
                )
            },
        ),
        ("State", {"fields": ("status", "version", "created_at", "updated_at")}),
    )

    @admin.display(description="amount", ordering="amount")
    def money(self, expense: Expense) -> str:
        amount = in_currency(expense.amount, expense.currency)
        return f"{amount:,f}\N{NO-BREAK SPACE}{expense.currency}"

    @admin.display(description="category", ordering="category__name", empty_value="-")
    def category_name(self, expense: Expense) -> str | None:
        return expense.category.name if expense.category else None

    def create(self, values: dict[str, Any]) -> Expense:
        return services.create_expense(values.pop("owner"), values)

    def update(self, row: Expense, values: dict[str, Any]) -> None:
        services.update_expense(row, values, by_owner=False)

    def remove(self, row: Expense) -> None:
        services.delete_expense(row, by_owner=False)

    def has_approve_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("expenses.approve_expense")

    @admin.action(description="Submit selected drafts", permissions=["change"])
    def submit(self, request: HttpRequest, rows: QuerySet[Expense]) -> None:
        self._move_all(request, rows, services.submit_expense, "submitted")

    @admin.action(description="Approve selected expenses", permissions=["approve"])
    def approve(self, request: HttpRequest, rows: QuerySet[Expense]) -> None:
        self._move_all(request, rows, services.approve_expense, "approved")

    @admin.action(description="Reject selected expenses", permissions=["approve"])
    def reject(self, request: HttpRequest, rows: QuerySet[Expense]) -> None:
        self._move_all(request, rows, services.reject_expense, "rejected")

    def _move_all(
        self,
        request: HttpRequest,
        rows: QuerySet[Expense],
        move: Callable[[Expense], Expense],
        done: str,
    ) -> None:
        """Each on its own: one that cannot move does not hold up the others."""
        moved, problems = 0, []
        for expense in rows:
            try:
                moved_expense = move(expense)
            except ValidationError as error:
                problems.append(f"{expense}: {' '.join(error.messages)}")
            else:
                moved += 1
                self.log_change(request, moved_expense, f"Status: {done}.")
        if moved:
            self.message_user(request, f"{moved} {done}.", messages.SUCCESS)
        for problem in problems[:SHOWN_PROBLEMS]:
            self.message_user(request, problem, messages.WARNING)
        if len(problems) > SHOWN_PROBLEMS:
            more = f"{len(problems) - SHOWN_PROBLEMS} more could not be {done}."
            self.message_user(request, more, messages.WARNING)
