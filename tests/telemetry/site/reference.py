"""The same site without telemetry, for OpenTelemetry's own instrumentations alone."""

from tests.telemetry.site.settings import *  # noqa: F403
from tests.telemetry.site.settings import INSTALLED_APPS as ALL_APPS
from tests.telemetry.site.settings import MIDDLEWARE as ALL_MIDDLEWARE

INSTALLED_APPS = [app for app in ALL_APPS if app != "telemetry"]
MIDDLEWARE = [name for name in ALL_MIDDLEWARE if not name.startswith("telemetry.")]
