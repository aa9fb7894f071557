"""The wrapper that each SQL statement passes once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry.context import Operation, current
from telemetry.db.statements import Statement, statement
from telemetry.logs.exceptions import message_of
from telemetry.metrics import definitions as metrics
from telemetry.tracing.limits import may_begin_span

Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]

#: Past this many different shapes one request's repetitions are not looked for any more.
_MOST_SHAPES = 500

_SYSTEMS = {
    "postgresql": "postgresql",
    "mysql": "mysql",
    "sqlite": "sqlite",
    "oracle": "oracle.db",
    "microsoft": "microsoft.sql_server",
}

_tracer = trace.get_tracer("telemetry.db")


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
    started = time.perf_counter()
    try:
        result = execute(sql, params, many, context)
    except Exception as error:
        _count_error(operation, read, connection, error)
        if span is not None:
            span.set_attribute("error.type", driver_error(error))
            span.set_status(Status(StatusCode.ERROR, message_of(error)))
        raise
    finally:
        seconds = time.perf_counter() - started
        if span is not None:
            span.end()
        _count(operation, read, seconds, span)
    return result


def _begin_span(operation: Operation | None, read: Statement, connection: Any) -> trace.Span | None:
    """A client span, where somebody records the work it belongs to."""
    if not trace.get_current_span().is_recording() or not may_begin_span(operation):
        return None
    settings = connection.settings_dict
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
    return _tracer.start_span(read.summary, kind=SpanKind.CLIENT, attributes=attributes)


def _count(
    operation: Operation | None, read: Statement, seconds: float, span: trace.Span | None
) -> None:
    labels = (read.operation, read.table)
    metrics.DATABASE_QUERIES.child(*labels).inc()
    trace_id = ""
    if span is not None and (context := span.get_span_context()).trace_flags.sampled:
        trace_id = f"{context.trace_id:032x}"
    metrics.DATABASE_QUERY_DURATION.child(*labels).observe(seconds, trace_id)
    if operation is None:
        return
    operation.db_queries += 1
    operation.db_seconds += seconds
    shapes = operation.shapes
    if read.text in shapes or len(shapes) < _MOST_SHAPES:
        shapes[read.text] = shapes.get(read.text, 0) + 1


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
