"""The site with spans of OpenTelemetry's SDK."""

from tests.telemetry.site.settings import *  # noqa: F403
from tests.telemetry.site.settings import TELEMETRY as OWN

TELEMETRY = {**OWN, "SPANS": "sdk"}
