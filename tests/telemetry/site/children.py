"""What a process that multiprocessing spawned does."""

from __future__ import annotations

import django


def make_coffee(strength: str) -> None:
    django.setup()
    from tests.telemetry.site.urls import COFFEES  # noqa: PLC0415

    COFFEES.labels(strength).inc()
