"""What Django's ``execute_wrappers`` do not see: ``callproc``, ``copy``, and fetches of server-side
cursors, each of which is a round trip to the database."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.backends.utils import CursorWrapper

from telemetry.db import queries
from telemetry.db.queries import measured
from telemetry.db.statements import Statement, statement

_PATCHED = "_telemetry_patched"

_fetches: dict[str, Statement] = {}


def install() -> None:
    """Patch Django's one class of cursors."""
    if hasattr(CursorWrapper, _PATCHED):
        return
    setattr(CursorWrapper, _PATCHED, True)
    original = CursorWrapper.callproc

    @functools.wraps(original)
    def callproc(self: Any, procname: str, *arguments: Any, **options: Any) -> Any:
        with measured(statement(f"CALL {procname}"), self.db):
            return original(self, procname, *arguments, **options)

    queries.watch_fetches = watch_fetches
    CursorWrapper.callproc = callproc  # type: ignore[method-assign]
    CursorWrapper.copy = _copy  # type: ignore[attr-defined]


@contextmanager
def _copy(self: Any, sql: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
    """psycopg's ``copy``, measured until its block ends."""
    with (
        measured(statement(sql), self.db),
        self.db.wrap_database_errors,
        self.cursor.copy(sql, *arguments, **options) as copying,
    ):
        yield copying


def watch_fetches(cursor: Any, declared: Statement) -> None:
    """Measure the fetches of one server-side cursor; other cursors have nothing to fetch from the
    database and stay as they are."""

    def fetchmany(*arguments: Any) -> Any:
        with measured(_fetch_of(declared), cursor.db), cursor.db.wrap_database_errors:
            return cursor.cursor.fetchmany(*arguments)

    cursor.__dict__["fetchmany"] = fetchmany


def _fetch_of(declared: Statement) -> Statement:
    """``FETCH`` from the table that the cursor reads; tables are bounded, so these are as well."""
    known = _fetches.get(declared.table)
    if known is None:
        known = _fetches[declared.table] = Statement("FETCH", declared.table, "FETCH FORWARD ?")
    return known
