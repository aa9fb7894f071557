"""The wrapper that each SQL statement passes once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry.context import Operation, current
from telemetry.db import repeated
from telemetry.db.statements import Statement, statement
from telemetry.logs.exceptions import message_of
from telemetry.metrics import definitions as metrics
from telemetry.metrics.batch import record
from telemetry.metrics.metric import CounterChild, HistogramChild
from telemetry.tracing import contrib
from telemetry.tracing.light import Fixed
from telemetry.tracing.limits import may_begin_span
from telemetry.tracing.own import OwnTracer

Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]

#: Observations that a long operation keeps before it counts them.
_MOST_PENDING = 64

_SYSTEMS = {
    "postgresql": "postgresql",
    "mysql": "mysql",
    "sqlite": "sqlite",
    "oracle": "oracle.db",
    "microsoft": "microsoft.sql_server",
}


def _nobody_watches(_cursor: Any, _declared: Statement) -> None:
    """Until ``telemetry.db.cursors`` is installed."""


#: Told about each server-side cursor that was declared.
watch_fetches: Callable[[Any, Statement], None] = _nobody_watches

_tracer = OwnTracer("telemetry.db")
_clock = time.perf_counter


@contextmanager
def measured(read: Statement, connection: Any) -> Iterator[None]:
    """What :func:`run_query` does, around anything else that goes to the database."""
    operation = current.get()
    if operation is not None and operation.quiet:
        yield
        return
    span = _begin_span(operation, read, connection)
    started = _clock()
    try:
        yield
    except Exception as error:
        _fail(operation, read, connection, error, span)
        raise
    finally:
        _end(operation, read, _clock() - started, span)


def run_query(execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run a statement with a client span, its metrics, and the request's tally.

    An entry of Django's ``connection.execute_wrappers``.
    """
    operation = current.get()
    if operation is not None and operation.quiet:
        return execute(sql, params, many, context)
    read = statement(sql)
    connection = context["connection"]
    span = _begin_span(operation, read, connection)
    started = _clock()
    try:
        result = execute(sql, params, many, context)
    except Exception as error:
        _fail(operation, read, connection, error, span)
        raise
    finally:
        _end(operation, read, _clock() - started, span)
    cursor = context["cursor"]
    if getattr(cursor.cursor, "name", None):
        # A server-side cursor: its fetches are statements as well.
        watch_fetches(cursor, read)
    return result


def _begin_span(operation: Operation | None, read: Statement, connection: Any) -> trace.Span | None:
    """A client span, where somebody records the work it belongs to."""
    if operation is not None and not operation.sampled:
        return None
    if connection.vendor == "postgresql" and contrib.database_is_theirs():
        return None
    parent = trace.get_current_span()
    if not parent.is_recording() or not may_begin_span(operation):
        return None
    return _tracer.start(read.summary, SpanKind.CLIENT, parent, _fixed(read, connection))


def _fail(
    operation: Operation | None,
    read: Statement,
    connection: Any,
    error: Exception,
    span: trace.Span | None,
) -> None:
    _count_error(operation, read, connection, error)
    if span is not None:
        span.set_attribute("error.type", driver_error(error))
        span.set_status(Status(StatusCode.ERROR, message_of(error)))


def _end(
    operation: Operation | None, read: Statement, seconds: float, span: trace.Span | None
) -> None:
    if span is not None:
        span.end()
    count(operation, read, seconds)


def _fixed(read: Statement, connection: Any) -> Fixed:
    """What all spans of a statement say."""
    settings = connection.settings_dict
    key = (connection.alias, settings["NAME"])
    known: Fixed | None = read.fixed.get(key)
    if known is not None:
        return known
    attributes: dict[str, Any] = {
        "db.system.name": _SYSTEMS.get(connection.vendor, connection.vendor),
        "db.namespace": str(settings.get("NAME") or ""),
        "db.operation.name": read.operation,
        "db.query.summary": read.summary,
        "db.query.text": read.text,
    }
    if read.table != "none":
        attributes["db.collection.name"] = read.table
    if settings.get("HOST"):
        attributes["server.address"] = str(settings["HOST"])
        if str(settings.get("PORT") or "").isdigit():
            attributes["server.port"] = int(settings["PORT"])
    made = read.fixed[key] = Fixed(attributes)
    return made


def count(operation: Operation | None, read: Statement, seconds: float) -> None:
    """Count a statement: at once, or with everything else that its operation counts."""
    if operation is None:
        record_queries([(read, seconds)], "")
        return
    operation.db_queries += 1
    operation.db_seconds += seconds
    repeated.note(operation, read.text)
    operation.pending.append((read, seconds))
    if operation.finished or len(operation.pending) >= _MOST_PENDING:
        flush(operation)


def flush(operation: Operation) -> None:
    """Count what an operation kept."""
    pending, operation.pending = operation.pending, []
    record_queries(pending, operation.trace_id if operation.sampled else "")


def record_queries(queries: list[tuple[Statement, float]], trace_id: str) -> None:
    record([(*children_of(read), seconds) for read, seconds in queries], trace_id)


def children_of(read: Statement) -> tuple[CounterChild, HistogramChild]:
    """The series of a statement."""
    children = read.children
    if children is None:
        labels = (read.operation, read.table)
        children = read.children = (
            metrics.DATABASE_QUERIES.child(*labels),
            metrics.DATABASE_QUERY_DURATION.child(*labels),
        )
    return children


def _count_error(
    operation: Operation | None, read: Statement, connection: Any, error: Exception
) -> None:
    kind = driver_error(error)
    metrics.DATABASE_ERRORS.child(read.operation, read.table, kind).inc()
    if isinstance(error, OperationalError | InterfaceError):
        if operation is not None:
            operation.error = error
        if _lost(connection):
            # Nobody asked for a connection here, yet one was needed and is gone.
            metrics.DATABASE_CONNECTIONS.child(connection.alias).inc()
            metrics.DATABASE_CONNECTION_ERRORS.child(connection.alias, kind).inc()


def _lost(connection: Any) -> bool:
    driver = connection.connection
    return bool(driver is None or getattr(driver, "closed", False))


def driver_error(error: BaseException) -> str:
    """The name of the driver's exception, which says more than Django's: UniqueViolation."""
    return type(error.__cause__ or error).__name__
