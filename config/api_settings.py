"""Settings of the REST API: Django REST framework, knox, drf-spectacular, CORS."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "knox.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

REST_KNOX: dict[str, Any] = {
    "TOKEN_TTL": timedelta(days=30),
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Expense Tracker API",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

CORS_EXPOSE_HEADERS = ["X-Correlation-ID", "ETag", "Retry-After", "Server-Timing"]
