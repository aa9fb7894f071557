"""What Django's system check says about telemetry (``manage.py check``)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Tags, Warning, register  # noqa: A004

from telemetry import settings, uwsgi
from telemetry.metrics import store
from telemetry.tracing import contrib

MIDDLEWARE = "telemetry.middleware.TelemetryMiddleware"

_NAME = re.compile(r"[\w.-]+")


def install() -> None:
    for check in (middleware, folder, masked_keys):
        register(Tags.compatibility)(check)


def middleware(**_given: Any) -> list[CheckMessage]:
    """W001: the middleware stands first, or what stands before it is not measured, and once."""
    # OpenTelemetry's instrumentation puts its own in front, where it is used, and we one of ours.
    named = [
        name
        for name in django_settings.MIDDLEWARE
        if not name.startswith("opentelemetry.") and name != contrib.OWN_PATHS
    ]
    if MIDDLEWARE not in named:
        return [
            Warning(
                "TelemetryMiddleware is not in MIDDLEWARE: requests are not seen.",
                hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE.",
                id="telemetry.W001",
            )
        ]
    if named[0] != MIDDLEWARE:
        return [
            Warning(
                f"TelemetryMiddleware stands behind {named[0]}: what that does is not measured, "
                "and its answers are not seen.",
                hint=f"Put {MIDDLEWARE!r} first in MIDDLEWARE.",
                id="telemetry.W001",
            )
        ]
    if named.count(MIDDLEWARE) > 1:
        return [
            Warning(
                "TelemetryMiddleware is in MIDDLEWARE more than once: each request is counted, "
                "traced and logged as often.",
                hint=f"Leave {MIDDLEWARE!r} in its first place alone.",
                id="telemetry.W001",
            )
        ]
    return []


def folder(**_given: Any) -> list[CheckMessage]:
    """W002: several workers need a folder that they can write."""
    parent = store.parent_folder()
    if not store.can_share():
        return [
            Warning(
                "No folder for metrics can be written: each process shows its own.",
                hint="Set PROMETHEUS_MULTIPROC_DIR to a folder that the server's user can write.",
                id="telemetry.W002",
            )
        ]
    existing = next(found for found in [parent, *parent.parents] if found.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return []
    return [
        Warning(
            f"The folder for metrics cannot be written: {parent}.",
            hint="Set PROMETHEUS_MULTIPROC_DIR to a folder that the server's user can write.",
            id="telemetry.W002",
        )
    ]


def masked_keys(**_given: Any) -> list[CheckMessage]:
    """W004: a key that no field of a log line can have masks nothing."""
    return [
        Warning(
            f"TELEMETRY['MASKED_KEYS'] has {key!r}, which is not the name of a field.",
            hint="Name keys as they stand in log lines, such as 'iban'; they are no patterns.",
            id="telemetry.W004",
        )
        for key in settings.get().MASKED_KEYS
        if not _NAME.fullmatch(key)
    ]


def alone_among_workers() -> str:
    """W003, told when a worker starts: a server of several workers whose metrics are not shared.

    ``manage.py check`` does not know which server will run; the worker does.
    """
    if reason := uwsgi.problem():
        return f"telemetry.W003: uWSGI is set up wrongly for telemetry: {reason}"
    if store.instance.folder is not None:
        return ""
    try:
        command = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    # With setproctitle installed all of it is "gunicorn: master [config.wsgi]".
    by_gunicorn = command[0].startswith(b"gunicorn: ") or any(
        Path(os.fsdecode(word)).name == "gunicorn" for word in command[:4]
    )
    # Where no folder can be written, its master has said so.
    if not by_gunicorn or store.instance.is_apart:
        return ""
    return (
        "telemetry.W003: this worker of gunicorn keeps its metrics for itself; add the hooks of "
        "telemetry.gunicorn to gunicorn.conf.py, and a scrape shows all workers"
    )
