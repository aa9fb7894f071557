"""Who may use the API: everybody who is logged in, but the monitoring probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request

if TYPE_CHECKING:
    # It reads the default permissions itself, while it is imported.
    from rest_framework.views import APIView


class IsMember(IsAuthenticated):
    """Anybody but the account of the probe, which may log in and out and nothing else.

    Logging out asks for ``IsAuthenticated`` alone.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not super().has_permission(request, view):
            return False
        name = settings.LOGIN_PROBE_USERNAME if settings.LOGIN_PROBE_TOKEN else None
        return request.user.get_username() != name
