"""Management commands as work of their own: a correlation ID, a root span, one log line."""

from __future__ import annotations

import functools
from typing import Any

from django.core.management.base import BaseCommand

from telemetry import settings
from telemetry.work import operation_here, work

_PATCHED = "_telemetry_patched"


def install() -> None:
    """Patch ``BaseCommand.execute``, through which each command runs, by whomever it is called."""
    original = BaseCommand.execute
    if hasattr(original, _PATCHED):
        return

    @functools.wraps(original)
    def execute(self: BaseCommand, *arguments: Any, **options: Any) -> Any:
        name = type(self).__module__.rpartition(".")[2]
        if operation_here() is not None or name in settings.get().UNSEEN_COMMANDS:
            return original(self, *arguments, **options)
        with work(f"manage.py {name}", "telemetry.command"):
            return original(self, *arguments, **options)

    setattr(execute, _PATCHED, True)
    BaseCommand.execute = execute  # type: ignore[method-assign]
