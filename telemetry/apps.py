"""Django's entry to telemetry: what is set up before the first request."""

from __future__ import annotations

import multiprocessing

from django.apps import AppConfig
from django.conf import settings

from telemetry.metrics import store

# Before the models of other apps make their metrics.
store.install()
_parent = multiprocessing.parent_process()
if store.instance.folder is None and _parent is not None and _parent.pid is not None:
    # A server that spawns its workers (uvicorn --workers): they share their parent's instance.
    store.instance.share(_parent.pid)


class TelemetryConfig(AppConfig):
    name = "telemetry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from telemetry import checks, commands, outgoing, runtime
        from telemetry.db import connections, cursors
        from telemetry.instrumentation import django_structlog
        from telemetry.logs import configure
        from telemetry.settings import check_environment
        from telemetry.tracing import provider

        check_environment()
        configure(settings.LOGGING)
        provider.install()
        runtime.prepare()
        connections.install()
        cursors.install()
        commands.install()
        checks.install()
        outgoing.install()
        django_structlog.install()
