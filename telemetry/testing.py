"""For the tests of a project: no statement runs again and again.

As a context manager::

    with assert_no_repeated_queries():
        client.get("/orders/")

and as a pytest fixture, for a whole test, after ``pytest_plugins = ["telemetry.testing"]`` in the
``conftest.py`` at the root::

    def test_orders(no_repeated_queries, client): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.db import connections

from telemetry import settings
from telemetry.db.repeated import user_line
from telemetry.db.statements import statement


@contextmanager
def assert_no_repeated_queries(limit: int | None = None) -> Iterator[None]:
    """Fail when a statement of one shape ran more than ``limit`` times inside.

    ``limit`` is ``TELEMETRY["REPEATED_QUERIES"]`` unless it is given. Every database is looked at,
    in this thread. Raises AssertionError that names each statement, how often it ran, and the line
    that ran it last.
    """
    most = settings.get().REPEATED_QUERIES if limit is None else limit
    times: dict[str, int] = {}
    lines: dict[str, str] = {}

    def look(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        shape = statement(sql).text
        times[shape] = times.get(shape, 0) + 1
        lines[shape] = user_line()
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        for connection in connections.all():
            stack.enter_context(connection.execute_wrapper(look))
        yield
    repeated = [
        f"{count} times: {shape}\n    at {lines[shape] or 'no line of user code'}"
        for shape, count in times.items()
        if count > most
    ]
    if repeated:
        problem = f"statements that ran more than {most} times:\n" + "\n".join(repeated)
        raise AssertionError(problem)


try:
    import pytest
except ImportError:
    # Without pytest there is the context manager.
    pass
else:

    @pytest.fixture
    def no_repeated_queries(db: None) -> Iterator[None]:  # noqa: ARG001
        """Fails the test when a statement of one shape runs too often in it."""
        with assert_no_repeated_queries():
            yield
