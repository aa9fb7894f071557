"""A database of another service, whose driver is not installed here."""

from __future__ import annotations

from tests.telemetry.site.settings import *  # noqa: F403
from tests.telemetry.site.settings import DATABASES

DATABASES["legacy"] = {"ENGINE": "django.db.backends.oracle", "NAME": "legacy"}
