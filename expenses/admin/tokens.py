"""Tokens in the admin: who has some, and a way to end them.

knox's own page lists hashes and makes tokens in anybody's name; nobody needs either.
"""

from __future__ import annotations

import knox.admin  # noqa: F401 - it registers its page on import, which must come first
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from knox.models import AuthToken

from expenses.admin.base import ModelAdmin

admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class TokenAdmin(ModelAdmin):
    list_display = ("user", "created", "expiry")
    list_select_related = ("user",)
    list_display_links = None
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("user__username",)
    ordering = ("-created",)
    fields = ("user", "created", "expiry")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Model | None = None,  # noqa: ARG002
    ) -> bool:
        return False
