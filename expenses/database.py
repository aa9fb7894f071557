"""Connections to PostgreSQL that do not wait for ever. Imports nothing of Django."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import PQGen

#: Seconds that a client waits longer than the server, whose own timeout keeps the connection.
GRACE = 0.5


class NoAnswerError(psycopg.OperationalError):
    """The server did not answer a statement in time. The connection is closed."""


class DeadlineConnection(psycopg.Connection[Any]):
    """A connection on which no round trip takes longer than ``deadline`` seconds.

    PostgreSQL's own ``statement_timeout`` ends nothing when the server is stopped (SIGSTOP, a
    suspended machine, a hanging disk), and TCP's timeouts do not either, as long as the kernel
    acknowledges what arrives. All statements, commits and fetches of psycopg pass ``wait``.
    """

    deadline: float | None = None

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.deadline)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - "internal", but of a public method
            # What the server does with the statement is unknown: nobody may use the connection
            # again. A pool drops one that is closed.
            self.pgconn.finish()
            raise NoAnswerError(f"the database did not answer within {self.deadline:g} s") from None


def connection_class(deadline: float | None) -> type[DeadlineConnection]:
    """Return the class for connections with this deadline in seconds; None for no deadline."""
    return type("DeadlineConnection", (DeadlineConnection,), {"deadline": deadline})
