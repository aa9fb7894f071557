"""Telemetry without the product: it must not need anything of ``expenses``."""

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [app for app in PROJECT_APPS if app != "expenses"]
ROOT_URLCONF = "tests.telemetry.site.urls"
