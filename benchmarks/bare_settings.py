"""The service without telemetry: the yardstick of what telemetry costs."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as ALL_APPS
from config.settings import MIDDLEWARE as ALL_MIDDLEWARE

INSTALLED_APPS = [app for app in ALL_APPS if app != "telemetry"]
MIDDLEWARE = [name for name in ALL_MIDDLEWARE if not name.startswith("telemetry.")]
