"""Django's entry to telemetry: what is set up before the first request."""

from __future__ import annotations

import multiprocessing
import os

from django.apps import AppConfig
from django.conf import settings

from telemetry import processes, uwsgi
from telemetry.metrics import store

# Before the models of other apps make their metrics.
store.install()


def _share_with_parent() -> None:
    """Share the instance of the process that spawned this one: uvicorn's supervisor, or any that
    uses ``multiprocessing`` with ``spawn`` or ``forkserver``."""
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        # The process that loads no application, as the supervisor, has nothing to share yet.
        if not store.instance.share_with(parent.pid):
            store.instance.share(parent.pid)
    elif getattr(multiprocessing.current_process(), "_inheriting", False):
        # While its target is loaded a child does not know its parent; a server that forks may be
        # between the two.
        ancestor = os.getppid()
        for _ in range(2):
            if store.instance.share_with(ancestor):
                return
            found = processes.stat(ancestor)
            ancestor = found.parent if found else 0
        store.instance.share(os.getppid())


if store.instance.folder is None and not uwsgi.shares_instance():
    _share_with_parent()


class TelemetryConfig(AppConfig):
    name = "telemetry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from telemetry import checks, commands, outgoing, runtime
        from telemetry.db import connections, cursors
        from telemetry.instrumentation import django_structlog
        from telemetry.logs import configure
        from telemetry.settings import check_environment
        from telemetry.tracing import contrib, provider

        check_environment()
        configure(settings.LOGGING)
        provider.install()
        contrib.stand_in_front()
        runtime.prepare()
        if uwsgi.is_master() and not uwsgi.problem():
            runtime.defer()
        connections.install()
        cursors.install()
        commands.install()
        checks.install()
        outgoing.install()
        django_structlog.install()
