"""The steps that turn an event into a line; structlog's own processors surround them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

import orjson
import structlog
from opentelemetry import trace

from telemetry.context import Operation, current
from telemetry.logs.exceptions import ExceptionFields, fields_of
from telemetry.logs.masking import MASKED, is_secret, mask_text
from telemetry.logs.shapes import mask, name_of

Event = MutableMapping[str, Any]

#: These come first in a line, in this order.
_OF_EVERY_LINE = ("timestamp", "level", "logger", "message")
_FIRST = (*_OF_EVERY_LINE, "correlation_id", "trace_id", "span_id")
#: Bytes. A Unix socket and a pipe take a line of this size as a whole, so that lines of several
#: processes do not mix; systemd's journal would cut one of more than 48 KiB (journald.conf(5)).
_LONGEST_LINE = 32 * 1024 - 1
_SHORT_TEXT = 200
_SHORT_MESSAGE = 2000

REQUEST_FIELDS = "_telemetry_request_fields"
#: Attributes of every record; what else it has came by ``extra``. The last two are set by any
#: formatter that had the record before.
_OF_RECORDS = {*logging.makeLogRecord({}).__dict__, "message", "asctime"}
#: Keys of an event that mean something to structlog or to us.
_OF_STRUCTLOG = frozenset(
    {"event", "exc_info", "stack_info", "positional_args", "_record", "_from_structlog"}
)
#: Those that structlog's formatter sets itself, for what comes from Python's logging.
_OF_FORMATTER = ("_record", "_from_structlog")


class RequestFields(NamedTuple):
    """What the line of a request is made of, given to structlog under ``REQUEST_FIELDS``."""

    #: By ``telemetry.bind``.
    bound: Mapping[str, Any]
    #: Those of the request.
    request: Mapping[str, Any]


def add_context(_logger: Any, _method: str, event: Event) -> Event:
    """Add the ids of the work that runs now, and the fields that the application gave.

    Of two fields with the same name counts the nearer one: a keyword, then ``extra``, then
    ``structlog.contextvars``, then ``telemetry.bind``. A name that the line itself uses is another
    thing: there the application's field gets an underscore behind its name.
    """
    operation = current.get()
    record = event.get("_record")
    if not isinstance(record, logging.LogRecord):
        record = None
        for name in _OF_FORMATTER:
            if name in event:
                # A keyword of the application's.
                _set_aside(event, name, None)
    given = event.pop(REQUEST_FIELDS, None)
    bound: Mapping[str, Any] = operation.fields if operation is not None else {}
    own = _ids(operation)
    if isinstance(given, RequestFields):
        bound = given.bound
        own.update(given.request)
    elif given is not None:
        event[REQUEST_FIELDS] = given
    if record is not None and not event["_from_structlog"]:
        attributes = record.__dict__
        _give(event, {name: attributes[name] for name in attributes if name not in _OF_RECORDS})
        if record.exc_text and not record.exc_info:
            # It came by a socket from another process, with the traceback as text alone.
            _give(event, {"exception": {"message": record.exc_text}})
    if context := structlog.contextvars.get_contextvars():
        _give(event, context)
    if bound:
        _give(event, bound)
    for name in (*_OF_EVERY_LINE, *own):
        if name in event:
            _set_aside(event, name, own.get(name))
    event.update(own)
    return event


def _ids(operation: Operation | None) -> dict[str, Any]:
    context = trace.get_current_span().get_span_context()
    if operation is None:
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    ids = {}
    if operation.correlation_id:
        ids["correlation_id"] = operation.correlation_id
    if operation.trace_id:
        ids["trace_id"] = operation.trace_id
        ids["span_id"] = f"{context.span_id:016x}" if context.is_valid else operation.span_id
    return ids


def _give(event: Event, fields: Mapping[str, Any]) -> None:
    """Add fields without taking the place of others, or of what structlog keeps in an event."""
    for name, value in fields.items():
        if name in _OF_STRUCTLOG:
            event.setdefault(f"{name}_", value)
        else:
            event.setdefault(name, value)


def _set_aside(event: Event, name: str, own: Any) -> None:
    """Rename the application's field ``name``, which the line itself uses."""
    value = event.pop(name)
    if type(value) in {str, int} and type(own) is type(value) and value == own:
        return
    free = f"{name}_"
    while free in event:
        free += "_"
    event[free] = value


def add_arguments(_logger: Any, _method: str, event: Event) -> Event:
    """``log.info("%d rows", 3)``; arguments that do not fit must not fail who logs."""
    given = event.pop("positional_args", None)
    if given:
        only = given[0] if len(given) == 1 and isinstance(given[0], dict) and given[0] else given
        try:
            event["event"] %= only
        except Exception:  # noqa: BLE001  whatever the arguments' own code raises
            event["arguments"] = list(given)
    return event


class EventMessage(dict[str, Any]):
    """An event as the message of a record. Other handlers than ours ask for its text.

    Sentry's, Django's mail to administrators and files of a project's own would show the dict.
    """

    def __str__(self) -> str:
        return mask_text(str(self.get("event", "")))


def as_record(logger: Any, method: str, event: Event) -> tuple[tuple[EventMessage], dict[str, Any]]:
    """Hand an event to Python's logging, as structlog's ``wrap_for_formatter`` does.

    The record has the exception of the event as well: handlers of others show it, and Sentry knows
    by it that it has an event of that exception already.
    """
    options: dict[str, Any] = {"extra": {"_logger": logger, "_name": method}}
    if (error := _error_of(event)) is not None:
        options["exc_info"] = (type(error), error, error.__traceback__)
    return (EventMessage(event),), options


def _error_of(event: Event) -> BaseException | None:
    given = event.get("exc_info")
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) and len(given) > 1 else given
    if error is None and isinstance(told := event.get("exception"), ExceptionFields):
        error = told.error
    return error if isinstance(error, BaseException) else None


def add_exception(_logger: Any, _method: str, event: Event) -> Event:
    """``exc_info`` as structured fields."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        if "exception" in event:
            _set_aside(event, "exception", None)
        event["exception"] = fields_of(error)
    elif given is not None and not isinstance(given, bool | tuple):
        event["exc_info_"] = given
    return event


def mask_secrets(_logger: Any, _method: str, event: Event) -> Event:
    found: Event = {}
    for key, value in event.items():
        name = name_of(key)
        found[name] = MASKED if is_secret(name) else mask(value)
    return found


def in_order(_logger: Any, _method: str, event: Event) -> Event:
    """``message`` for structlog's ``event``, and the common fields first."""
    # uvicorn's message once more, for terminals.
    event.pop("color_message", None)
    event["message"] = event.pop("event", "")
    ordered: dict[str, Any] = {name: event.pop(name) for name in _FIRST if name in event}
    ordered.update(event)
    return ordered


def exception_as_text(_logger: Any, _method: str, event: Event) -> Event:
    """For people, and for structlog's console, which takes a text alone."""
    told = event.get("exception")
    if isinstance(told, dict):
        event["exception"] = "\n".join(_told_as_text(told))
    elif told is not None:
        event["exception"] = str(told)
    return event


def _told_as_text(told: dict[str, Any]) -> list[str]:
    lines = [f"    {frame}" for frame in told.get("frames", ())]
    lines.append(f"{told.get('type', 'exception')}: {told.get('message', told)}")
    lines += [f"  {note}" for note in told.get("notes", ())]
    for number, member in enumerate(told.get("exceptions", ()), 1):
        lines += ["  " + line for line in (f"member {number}:", *_told_as_text(member))]
    for cause in told.get("causes", ()):
        lines.append("because of" if cause.get("relation") == "cause" else "while handling")
        lines += _told_as_text(cause)
    return lines


def to_json(_logger: Any, _method: str, event: Event) -> str:
    """One object on one line; a line that is too long loses what is long, never its validity."""
    line = _encoded(event)
    if len(line) > _LONGEST_LINE:
        short: dict[str, Any] = {
            name: str(event[name])[:_SHORT_TEXT] for name in _FIRST if name in event
        }
        short["message"] = str(event.get("message", ""))[:_SHORT_MESSAGE]
        short["truncated"] = f"the line had {len(line)} bytes"
        if isinstance(told := event.get("exception"), dict):
            short["exception"] = _shortened(told)
        rest = {name: value for name, value in event.items() if _is_short(value)}
        line = _encoded({**short, **rest, **short})
        if len(line) > _LONGEST_LINE:
            line = _encoded(short)
    return line.decode()


def _shortened(told: dict[str, Any]) -> dict[str, Any]:
    """An exception without causes, members and notes, of some KB at most."""
    return {
        "type": str(told.get("type"))[:_SHORT_TEXT],
        "message": str(told.get("message"))[:_SHORT_MESSAGE],
        "frames": [str(frame)[-_SHORT_TEXT:] for frame in list(told.get("frames", ()))[-10:]],
    }


def _is_short(value: Any) -> bool:
    """Numbers and words: method, endpoint and status of a request stay on its line."""
    if isinstance(value, str):
        return len(value) <= _SHORT_TEXT
    return value is None or isinstance(value, int | float)


def _encoded(event: Event) -> bytes:
    return orjson.dumps(event, default=str)
