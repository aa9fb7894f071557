"""A project that had a scrape view of its own before telemetry came."""

from tests.telemetry.site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.telemetry.site.scrape_view_urls"
