"""The paths below ``/api/v1/``."""

from __future__ import annotations

from typing import Any

from django.urls import path

from expenses.api.auth import LoginView, LogoutAllView, LogoutView
from expenses.api.demo_rates import DemoRateView
from expenses.api.faults import (
    ConnectionFault,
    ErrorFault,
    MemoryFault,
    QueriesFault,
    SeriesFault,
    SlowFault,
)
from expenses.api.views import CategoryViewSet, ExpenseViewSet

LIST: dict[str, Any] = {"get": "list", "post": "create"}
DETAIL: dict[str, Any] = {
    "get": "retrieve",
    "put": "update",
    "patch": "partial_update",
    "delete": "destroy",
}

urlpatterns = [
    path("auth/login/", LoginView.as_view(), name="login"),
    path("auth/logout/", LogoutView.as_view(), name="logout"),
    path("auth/logoutall/", LogoutAllView.as_view(), name="logout-all"),
    path("expenses/", ExpenseViewSet.as_view(LIST), name="expense-list"),
    path("expenses/<int:id>/", ExpenseViewSet.as_view(DETAIL), name="expense-detail"),
    path("categories/", CategoryViewSet.as_view(LIST), name="category-list"),
    path("categories/<int:id>/", CategoryViewSet.as_view(DETAIL), name="category-detail"),
    path("demo/faults/error/", ErrorFault.as_view(), name="fault-error"),
    path("demo/faults/slow/", SlowFault.as_view(), name="fault-slow"),
    path("demo/faults/queries/", QueriesFault.as_view(), name="fault-queries"),
    path("demo/faults/memory/", MemoryFault.as_view(), name="fault-memory"),
    path("demo/faults/connections/", ConnectionFault.as_view(), name="fault-connections"),
    path("demo/faults/series/", SeriesFault.as_view(), name="fault-series"),
    path("demo/rates/<slug:currency>/", DemoRateView.as_view(), name="demo-rate"),
]
