"""Attempts to get a database connection: counted and measured, and their statements led through our
wrapper."""

from __future__ import annotations

import functools
import time
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from telemetry.context import current
from telemetry.db.queries import (
    count_connection_error,
    driver_error,
    refuse_without_database,
    run_query,
)
from telemetry.metrics import definitions as metrics
from telemetry.metrics.batch import record

_PATCHED = "_telemetry_patched"


def install() -> None:
    """Patch the two methods that every backend shares: the constructor and ``connect``.

    Django's signal ``connection_created`` comes after success only, and says nothing of a pool
    that has no connection to give.
    """
    original = BaseDatabaseWrapper.connect
    if hasattr(original, _PATCHED):
        return
    original_init = BaseDatabaseWrapper.__init__

    @functools.wraps(original_init)
    def init(self: Any, *arguments: Any, **options: Any) -> None:
        original_init(self, *arguments, **options)
        _add_wrapper(self)

    @functools.wraps(original)
    def connect(self: Any) -> None:
        _add_wrapper(self)
        operation = current.get()
        if operation is not None and operation.quiet:
            refuse_without_database(operation)
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
            raise
        attempt = attempts, durations, time.perf_counter() - started
        if operation is None or operation.finished:
            record([attempt])
        else:
            operation.connections.append(attempt)

    setattr(connect, _PATCHED, True)
    BaseDatabaseWrapper.__init__ = init  # type: ignore[method-assign]
    BaseDatabaseWrapper.connect = connect  # type: ignore[method-assign]
    for connection in connections.all(initialized_only=True):
        _add_wrapper(connection)


def _add_wrapper(connection: Any) -> None:
    """Put our wrapper first in a connection's ``execute_wrappers``.

    ``connection.execute_wrapper()`` appends at its start and pops the *last* entry at its end
    (Django 5.2): a wrapper appended inside such a block would be removed in place of the block's.
    The first place is also safe for a connection that is opened inside one.
    """
    if run_query not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, run_query)


def start_at_zero() -> None:
    """A ratio of errors to attempts needs both series from the start."""
    for alias in connections:
        metrics.DATABASE_CONNECTIONS.child(alias)
        metrics.DATABASE_CONNECTION_DURATION.child(alias)
        metrics.DATABASE_CONNECTION_ERRORS.child(alias, "OperationalError")
        metrics.DATABASE_CONNECTION_FAILURES.child(alias)
        metrics.DATABASE_QUERY_FAILURES.child(alias)
