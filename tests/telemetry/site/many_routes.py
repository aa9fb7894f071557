"""Settings of a project with a thousand routes."""

from tests.telemetry.site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.telemetry.site.many_routes_urls"
