"""``/health/live`` and ``/health/ready``: is the process up, can it do its work."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.migrations.executor import MigrationExecutor

from telemetry.context import Operation, current

logger = logging.getLogger(__name__)

#: Seconds that the database may take to answer.
DEADLINE = 2.0


class Readiness:
    """Asks the database, one question at a time for all who want to know at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Future[str] | None = None
        self._migrated = False
        #: Around the question: whoever connects the signals keeps spans of others away.
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext

    def problem(self) -> str:
        """Why the service is not ready, empty when it is. Takes at most DEADLINE seconds."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                threading.Thread(
                    target=self._ask, args=(self._running,), name="telemetry-ready", daemon=True
                ).start()
            running = self._running
        try:
            return running.result(DEADLINE)
        except Late:
            return f"the database did not answer within {DEADLINE:g} s"

    def _ask(self, answer: Future[str]) -> None:
        current.set(Operation("", quiet=True))
        try:
            with self.around():
                answer.set_result(self._check())
        except Exception as error:  # whatever it is, the service is not ready
            logger.debug("not ready", exc_info=True)
            answer.set_result(f"the database does not answer ({type(error).__name__})")

    def _check(self) -> str:
        connection = _own_connection()
        # Django asks for migrations by the alias alone: in this thread it is this connection, and
        # not one of the pool, which nobody would give back.
        connections[DEFAULT_DB_ALIAS] = connection
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            if not self._migrated:
                executor = MigrationExecutor(connection)
                waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
                if waiting:
                    return f"{len(waiting)} migrations are not applied"
                self._migrated = True
        finally:
            connection.close()
        return ""


def _own_connection() -> Any:
    """A connection beside the pool: busy requests must not make the database look dead."""
    connection = connections[DEFAULT_DB_ALIAS].copy()
    options = dict(connection.settings_dict.get("OPTIONS", {}))
    options.pop("pool", None)
    if connection.vendor == "postgresql":
        options["connect_timeout"] = 2
    connection.settings_dict["OPTIONS"] = options
    return connection


readiness = Readiness()


@dataclass(frozen=True)
class Health:
    """An answer about the service's health, as any of its ports gives it."""

    status: int
    body: bytes
    headers: dict[str, str]


def live() -> Health:
    """The process is up. Touches nothing."""
    return _health(200, {"status": "ok"})


def ready() -> Health:
    """The database answers and its migrations are applied."""
    problem = readiness.problem()
    if problem:
        return _health(503, {"status": "unavailable", "detail": problem}, {"Retry-After": "5"})
    return _health(200, {"status": "ok"})


def _health(status: int, body: dict[str, str], more: dict[str, str] | None = None) -> Health:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **(more or {})}
    return Health(status, json.dumps(body).encode() + b"\n", headers)
