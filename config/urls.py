"""Where each path leads. `/metrics` and `/health/*` are answered before this, by telemetry."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("api/v1/", include("expenses.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(), name="docs"),
]

handler400 = "expenses.api.fallbacks.bad_request"
handler403 = "expenses.api.fallbacks.forbidden"
handler404 = "expenses.api.fallbacks.not_found"
handler500 = "expenses.api.fallbacks.server_error"
