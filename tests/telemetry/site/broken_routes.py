"""Settings of a project whose URLconf cannot be imported."""

from tests.telemetry.site.settings import *  # noqa: F403

ROOT_URLCONF = "tests.telemetry.site.broken"
