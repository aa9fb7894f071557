"""No middleware that is sync only: telemetry's runs in the event loop itself."""

from tests.telemetry.site.settings import *  # noqa: F403

MIDDLEWARE = ["telemetry.middleware.TelemetryMiddleware"]
