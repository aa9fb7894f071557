"""The wrapper that each SQL statement passes once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from telemetry.context import WITHOUT_DATABASE, Operation, current
from telemetry.db import repeated
from telemetry.db.statements import Statement, statement
from telemetry.logs.exceptions import message_of
from telemetry.logs.masking import mask_text
from telemetry.metrics import definitions as metrics
from telemetry.metrics.batch import record
from telemetry.metrics.metric import CounterChild, HistogramChild
from telemetry.tracing import contrib, here
from telemetry.tracing.light import Fixed, LightSpan
from telemetry.tracing.limits import may_begin_span
from telemetry.tracing.own import OwnTracer
from telemetry.tracing.suppression import is_suppressed

Execute = Callable[[Any, Any, bool, dict[str, Any]], Any]

#: Statements that a long operation keeps, and nanoseconds that it keeps one, before it counts them.
_MOST_PENDING = 64
_LONGEST_PENDING = 1_000_000_000

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
#: Classes of drivers' cursors that have no name, so that none of theirs is a server-side one.
_nameless: set[type] = set()
# Looked up once: in Python 3.11 a member of an Enum is found by a function.
_CLIENT = SpanKind.CLIENT
_clock = time.perf_counter_ns


def refuse_without_database(operation: Operation) -> None:
    """Raise RuntimeError where telemetry itself runs code of the application."""
    if operation is WITHOUT_DATABASE:
        raise RuntimeError("telemetry runs no statement to look at a request's user")


@contextmanager
def measured(read: Statement, connection: Any) -> Iterator[None]:
    """What :func:`run_query` does, around anything else that goes to the database."""
    operation = current.get()
    if operation is not None and operation.quiet:
        refuse_without_database(operation)
        yield
        return
    parent = _recorded(operation, connection)
    started = _clock()
    try:
        yield
    except BaseException as error:
        _tell_failed(operation, read, connection, parent, started, error)
        raise
    _tell(operation, read, connection, parent, started)


def run_query(execute: Execute, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run a statement with a client span, its metrics, and the request's tally.

    An entry of Django's ``connection.execute_wrappers``.
    """
    operation = current.get()
    if operation is not None and operation.quiet:
        refuse_without_database(operation)
        return execute(sql, params, many, context)
    read = statement(sql)
    connection = context["connection"]
    parent = _recorded(operation, connection)
    started = _clock()
    try:
        result = execute(sql, params, many, context)
    except BaseException as error:
        _tell_failed(operation, read, connection, parent, started, error)
        raise
    _tell(operation, read, connection, parent, started)
    cursor = context["cursor"]
    if type(cursor.cursor) not in _nameless and _has_name(cursor.cursor):
        # A server-side cursor: its fetches are statements as well.
        watch_fetches(cursor, read)
    return result


def _has_name(cursor: Any) -> bool:
    kind = type(cursor)
    if not hasattr(kind, "name") and not hasattr(cursor, "name"):
        # To look in vain for an attribute takes as long as all else that is asked here.
        _nameless.add(kind)
        return False
    return bool(cursor.name)


def _recorded(operation: Operation | None, connection: Any) -> trace.Span | None:
    """The span that a statement's client span belongs below, None where nobody records one."""
    if operation is not None and not operation.sampled:
        return None
    if contrib.traces_statements(connection):
        return None
    # What trace.get_current_span() gives, in a tenth of its time.
    context = here.get()
    span: Any = context.get(here.SPAN)
    if len(context) > 1 and is_suppressed(context):
        return None
    if type(span) is LightSpan:
        # One that has ended too: a task in the background keeps the context of its request.
        return span
    span = trace.get_current_span()
    return span if span.is_recording() else None


def _tell(  # noqa: PLR0917  called for each statement
    operation: Operation | None,
    read: Statement,
    connection: Any,
    parent: trace.Span | None,
    started: int,
    ended: int = 0,
) -> None:
    """Count a statement that began then and ended now, and make its span: at once, or with
    everything else that its operation counts."""
    if not ended:
        ended = _clock()
    if operation is None:
        _tell_alone(read, connection, parent, started, ended)
        return
    if parent is not None and (operation.spans_left > 0 or may_begin_span(operation)):
        operation.spans_left -= 1
        fixed = read.fixed.get((connection.alias, connection.settings_dict["NAME"]))
        if fixed is None:
            fixed = _fixed(read, connection)
        whole = _tracer.whole(read.summary, _CLIENT, parent, fixed, started, ended)
        if whole is not None:
            operation.spans.append(whole)
    took = ended - started
    operation.db_queries += 1
    operation.db_time += took
    shapes = operation.shapes
    if read.text in shapes:
        repeated.note(operation, read.text)
    elif len(shapes) < repeated.MOST_SHAPES:
        shapes[read.text] = 1
    pending = operation.pending
    pending.append((read, took / 1e9, ended))
    if (
        operation.finished
        or len(pending) >= _MOST_PENDING
        or ended - pending[0][2] > _LONGEST_PENDING
    ):
        flush(operation)


def _tell_alone(
    read: Statement, connection: Any, parent: trace.Span | None, started: int, ended: int
) -> None:
    """The same outside of any operation."""
    if parent is not None:
        fixed = _fixed(read, connection)
        whole = _tracer.whole(read.summary, _CLIENT, parent, fixed, started, ended)
        if whole is not None:
            _tracer.hand_over([whole])
    record([(*children_of(read), (ended - started) / 1e9)])


def _tell_failed(  # noqa: PLR0917
    operation: Operation | None,
    read: Statement,
    connection: Any,
    parent: trace.Span | None,
    started: int,
    error: BaseException,
) -> None:
    """The same for one that failed; what is no failure of it, as a cancelled task, is not said."""
    ended = _clock()
    if isinstance(error, Exception):
        _count_error(read, connection, error)
        if parent is not None and may_begin_span(operation):
            fixed = _fixed(read, connection)
            span = _tracer.start(read.summary, _CLIENT, parent, fixed, started)
            span.set_attribute("error.type", driver_error(error))
            span.set_status(Status(StatusCode.ERROR, message_of(error)))
            span.end()
        parent = None
    _tell(operation, read, connection, parent, started, ended)


def _fixed(read: Statement, connection: Any) -> Fixed:
    """What all spans of a statement say."""
    settings = connection.settings_dict
    key = (connection.alias, settings["NAME"])
    known: Fixed | None = read.fixed.get(key)
    if known is not None:
        return known
    attributes: dict[str, Any] = {
        "db.system.name": _SYSTEMS.get(connection.vendor, connection.vendor),
        "db.namespace": mask_text(str(settings.get("NAME") or "")),
        "db.operation.name": read.operation,
        "db.query.summary": read.summary,
        "db.query.text": mask_text(read.text),
    }
    if read.table != "none":
        attributes["db.collection.name"] = read.table
    if settings.get("HOST"):
        attributes["server.address"] = str(settings["HOST"])
        if str(settings.get("PORT") or "").isdigit():
            attributes["server.port"] = int(settings["PORT"])
    made = read.fixed[key] = Fixed(attributes)
    return made


def flush(operation: Operation) -> None:
    """Count what an operation kept, and hand its spans over."""
    record(kept(operation), operation.trace_id if operation.sampled else "")
    if spans := operation.spans:
        operation.spans = []
        _tracer.hand_over(spans)


def kept(operation: Operation) -> list[tuple[CounterChild, HistogramChild, float]]:
    """The observations that an operation kept; it keeps them no more."""
    pending, operation.pending = operation.pending, []
    found, operation.connections = operation.connections, []
    for read, seconds, _ in pending:
        found.append((*(read.children or children_of(read)), seconds))
    return found


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


def _count_error(read: Statement, connection: Any, error: Exception) -> None:
    kind = driver_error(error)
    metrics.DATABASE_ERRORS.child(read.operation, read.table, kind).inc()
    metrics.DATABASE_QUERY_FAILURES.child(connection.alias).inc()
    if isinstance(error, OperationalError | InterfaceError) and _lost(connection):
        # Nobody asked for a connection here, yet one was needed and is gone.
        metrics.DATABASE_CONNECTIONS.child(connection.alias).inc()
        count_connection_error(connection.alias, kind)


def count_connection_error(alias: str, kind: str) -> None:
    """Count an attempt that failed, or a lost connection; ``kind`` is the driver's exception."""
    metrics.DATABASE_CONNECTION_ERRORS.child(alias, kind).inc()
    metrics.DATABASE_CONNECTION_FAILURES.child(alias).inc()


def _lost(connection: Any) -> bool:
    driver = connection.connection
    return bool(driver is None or getattr(driver, "closed", False))


def driver_error(error: BaseException) -> str:
    """The name of the driver's exception, which says more than Django's: UniqueViolation."""
    return type(error.__cause__ or error).__name__
