"""Settings of the REST API: Django REST framework, knox, drf-spectacular, CORS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from corsheaders.defaults import default_headers

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "expenses.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["expenses.api.permissions.IsMember"],
    "DEFAULT_PARSER_CLASSES": ["expenses.api.parsers.BoundedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "expenses.api.pagination.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "expenses.api.schema.ProblemAutoSchema",
    "EXCEPTION_HANDLER": "expenses.api.errors.handle",
    # ?format= would be an unknown parameter that silently does something.
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

REST_KNOX: dict[str, Any] = {
    "TOKEN_TTL": timedelta(days=30),
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Expense Tracker API",
    "DESCRIPTION": "Expenses and categories of the person whose token a request carries.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {"CurrencyEnum": "expenses.currencies.currency_choices"},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = [*default_headers, "traceparent", "tracestate", "x-correlation-id"]
CORS_EXPOSE_HEADERS = ["X-Correlation-ID", "ETag", "Retry-After", "Server-Timing"]
