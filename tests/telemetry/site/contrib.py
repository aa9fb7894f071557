"""The site with OpenTelemetry's instrumentations making the spans, and telemetry beside them."""

from tests.telemetry.site.settings import *  # noqa: F403
from tests.telemetry.site.settings import TELEMETRY as OWN

TELEMETRY = {**OWN, "SPANS": "contrib"}
