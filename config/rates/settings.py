"""Settings of the demo's second service: telemetry, one view, no database."""

from __future__ import annotations

from typing import Any

SECRET_KEY = "signs-nothing-here"  # noqa: S105  no session, no token, no form
DEBUG = False
# It listens on loopback or inside the compose network.
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["telemetry"]
MIDDLEWARE = ["telemetry.middleware.TelemetryMiddleware"]
ROOT_URLCONF = "config.rates.urls"
USE_TZ = True
LOGGING_CONFIG = None

TELEMETRY: dict[str, Any] = {"SERVICE_NAME": "exchange-rates", "TRUST_INCOMING_TRACE": True}
