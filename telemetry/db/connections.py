"""Attempts to get a database connection: counted and measured, and their statements led through our
wrapper."""

from __future__ import annotations

import functools
import time
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from telemetry.context import current
from telemetry.db.queries import count_connection_error, driver_error, run_query
from telemetry.metrics import definitions as metrics
from telemetry.metrics.batch import record

_PATCHED = "_telemetry_patched"


def install() -> None:
    """Patch the one method through which every backend connects.

    Django's signal ``connection_created`` comes after success only, and says nothing of a pool
    that has no connection to give.
    """
    original = BaseDatabaseWrapper.connect
    if hasattr(original, _PATCHED):
        return

    @functools.wraps(original)
    def connect(self: Any) -> None:
        if run_query not in self.execute_wrappers:
            self.execute_wrappers.append(run_query)
        operation = current.get()
        if operation is not None and operation.quiet:
            original(self)
            return
        attempts = metrics.DATABASE_CONNECTIONS.child(self.alias)
        durations = metrics.DATABASE_CONNECTION_DURATION.child(self.alias)
        started = time.perf_counter()
        try:
            original(self)
        except Exception as error:
            record([(attempts, durations, time.perf_counter() - started)])
            # What failed may be psycopg's exception: Django translates it one level up.
            count_connection_error(self.alias, driver_error(error))
            if operation is not None:
                operation.error = error
            raise
        attempt = attempts, durations, time.perf_counter() - started
        if operation is None or operation.finished:
            record([attempt])
        else:
            operation.connections.append(attempt)

    setattr(connect, _PATCHED, True)
    BaseDatabaseWrapper.connect = connect  # type: ignore[method-assign]


def start_at_zero() -> None:
    """A ratio of errors to attempts needs both series from the start."""
    from django.db import connections

    for alias in connections:
        metrics.DATABASE_CONNECTIONS.child(alias)
        metrics.DATABASE_CONNECTION_DURATION.child(alias)
        metrics.DATABASE_CONNECTION_ERRORS.child(alias, "OperationalError")
        metrics.DATABASE_CONNECTION_FAILURES.child(alias)
        metrics.DATABASE_QUERY_FAILURES.child(alias)
