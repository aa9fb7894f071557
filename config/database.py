"""The database as Django's ``DATABASES`` names it, with limits on what may wait how long."""

from __future__ import annotations

from typing import Any

from config import environment
from expenses.database import GRACE, connection_class


def default(*, serves_requests: bool) -> dict[str, Any]:
    """The one database, for a server's requests, or for a command, which may take its time."""
    named = environment.database()
    limits = _limits(serves_requests=serves_requests)
    statement = limits["statement_timeout"]
    pooler = environment.DATABASE_BEHIND_PGBOUNCER.read()
    options: dict[str, Any] = {
        "connect_timeout": 3,
        "application_name": "expense-tracker-api",
        # A machine that vanished: probes after 10 s, given up after 10 more.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        # psycopg's own pool. Three seconds for a connection and for a place in the pool, so that a
        # dead database is a 503 within five (Django's own default would wait thirty).
        "pool": {
            "min_size": 1,
            "max_size": 8,
            "timeout": 3,
            "reconnect_timeout": 10,
            "connection_class": connection_class(statement + GRACE if statement else None),
        },
    }
    # PgBouncer refuses this parameter or ignores it, by its configuration.
    if not pooler and (startup := _startup(limits)):
        options["options"] = startup
    return {
        "ENGINE": "expenses.postgresql",
        **named,
        "DISABLE_SERVER_SIDE_CURSORS": pooler,
        "OPTIONS": {**options, **named["OPTIONS"]},
    }


def _limits(*, serves_requests: bool) -> dict[str, float]:
    """PostgreSQL's parameters, in seconds; 0 for no limit of ours."""
    if not serves_requests:
        seconds = environment.DATABASE_COMMAND_TIMEOUT.read()
        return {"statement_timeout": seconds, "lock_timeout": seconds}
    return {
        "statement_timeout": environment.DATABASE_STATEMENT_TIMEOUT.read(),
        "lock_timeout": environment.DATABASE_LOCK_TIMEOUT.read(),
        "idle_in_transaction_session_timeout": environment.DATABASE_IDLE_TIMEOUT.read(),
    }


def _startup(limits: dict[str, float]) -> str:
    return " ".join(
        f"-c {name}={seconds * 1000:.0f}" for name, seconds in limits.items() if seconds
    )
