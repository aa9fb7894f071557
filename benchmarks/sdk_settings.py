"""The service with telemetry whose spans are the SDK's objects."""

from config.settings import *  # noqa: F403
from config.settings import TELEMETRY as OWN

TELEMETRY = {**OWN, "SPANS": "sdk"}
