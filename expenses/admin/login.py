"""The admin's login, with the same count of failures as the API's."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm

from expenses.login_throttle import login_attempt


class LoginForm(AdminAuthenticationForm):
    """Raises TooManyFailures, which ``expenses.api.fallbacks`` answers with 429."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if self.request is None or not username or not self.cleaned_data.get("password"):
            return super().clean()
        with login_attempt(self.request, username) as attempt:
            cleaned = super().clean()
            attempt.succeed()
        return cleaned
