"""Work that is no request: a command, a traced function. One ID, one trace, one log line."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.util._decorator import _AgnosticContextManager

from telemetry.context import Operation, current
from telemetry.correlation import new_correlation_id
from telemetry.db.queries import flush
from telemetry.logs import get_logger
from telemetry.logs.exceptions import fields_of
from telemetry.request_span import take_ids, tell_exception
from telemetry.tracing import here
from telemetry.tracing.correlate import ATTRIBUTE
from telemetry.tracing.light import LightSpan, record_failure
from telemetry.tracing.own import OwnTracer
from telemetry.tracing.tracer import get_tracer
from telemetry.tracing.values import as_text

_tracer = OwnTracer("telemetry.work")

Function = TypeVar("Function")


class Traced(_AgnosticContextManager[None]):
    """What :func:`traced` gives: a decorator, and a context manager."""

    def __call__(self, func: Function) -> Function:
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(
                f"traced cannot follow {func.__qualname__}, a generator: what it does is done "
                "by whoever iterates; trace that, or begin a span inside"
            )
        return super().__call__(func)


def traced(name: str) -> Traced:
    """Run a function, sync or async, inside a span of that name.

    ::

        @traced("import statement")
        def import_statement(file): ...

    Inside a request or a command it is a child span. Outside of any it is work of its own, with a
    correlation ID and one log line (logger ``telemetry.work``) at its end. Raises TypeError for a
    generator function.
    """
    return Traced(_work_or_child, (name,), {})


def _work_or_child(name: str) -> Generator[None, None, None]:
    if operation_here() is not None:
        span = get_tracer().start_span(name)
        block = here.Block(span)
        try:
            yield
        except Exception as error:
            record_failure(span, error, record=True, set_status=True)
            raise
        finally:
            block.leave()
            span.end()
    else:
        with work(name, "telemetry.work"):
            yield


def operation_here() -> Operation | None:
    """The operation that runs here. One that ended in another context, as that of a generator which
    another task closed, could not be taken back here: it is now."""
    operation = current.get()
    if operation is not None and getattr(operation, "ended_elsewhere", False):
        current.set(None)
        here.leave_ended()
        return None
    return operation


@contextmanager
def work(name: str, logger: str) -> Iterator[Operation]:
    """An operation with a root span, current inside the block, and one line at its end."""
    name = as_text(name)
    operation = Operation("")
    span = _tracer.start(name, SpanKind.INTERNAL, None)
    take_ids(operation, span)
    operation.correlation_id = operation.trace_id or new_correlation_id()
    if isinstance(span, LightSpan):
        span.correlation_id = operation.correlation_id
    else:
        span.set_attribute(ATTRIBUTE, operation.correlation_id)
    begun = current.set(operation)
    block = here.Block(span)
    started = time.perf_counter()
    try:
        yield operation
    except BaseException as error:
        if _is_failure(error):
            operation.error = error
        raise
    finally:
        seconds = time.perf_counter() - started
        operation.finished = True
        block.leave()
        # A generator may be closed in another context, by another task or the garbage collector:
        # what is current there stays so, and the line is about this operation all the same.
        outside = current.get()
        token, inside = current.set(operation), here.attach(here.with_span(span))
        try:
            flush(operation)
            _end_span(span, operation.error)
            _write(name, logger, operation, seconds)
        except Exception as problem:  # noqa: BLE001  what the work raised must not be replaced
            reason = type(problem).__name__
            get_logger(logger).error(f"telemetry could not tell the end of {name}", reason=reason)
        finally:
            here.detach(inside)
            current.reset(token)
            try:
                current.reset(begun)
            except ValueError:
                operation.ended_elsewhere = True
            current.set(None if outside is operation else outside)


def _is_failure(error: BaseException) -> bool:
    """Whether work that ends with ``error`` has failed: not where its caller ended it."""
    if isinstance(error, SystemExit):
        return bool(error.code)
    return not isinstance(error, GeneratorExit | asyncio.CancelledError)


def _end_span(span: trace.Span, error: BaseException | None) -> None:
    try:
        if error is not None and span.is_recording():
            tell_exception(span, error)
    finally:
        span.end()


def _write(name: str, logger: str, operation: Operation, seconds: float) -> None:
    if sys.is_finalizing():
        # A generator that nobody read to its end: modules are being taken down around us.
        return
    fields = {
        "operation": name,
        "duration_seconds": round(seconds, 6),
        "db_queries": operation.db_queries,
        "db_seconds": round(operation.db_time / 1e9, 6),
    }
    if operation.repeated:
        fields["repeated_queries"] = len(operation.repeated)
    if operation.error is None:
        get_logger(logger).log(logging.INFO, f"{name} done", **fields)
        return
    fields["exception"] = fields_of(operation.error)
    get_logger(logger).log(logging.ERROR, f"{name} failed", **fields)
