"""The steps that turn an event into a line; structlog's own processors surround them."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
from opentelemetry import trace

from telemetry.context import current
from telemetry.logs.exceptions import fields_of
from telemetry.logs.masking import MASKED, is_secret
from telemetry.logs.shapes import mask, name_of

Event = MutableMapping[str, Any]

#: These come first in a line, in this order.
_FIRST = ("timestamp", "level", "logger", "message", "correlation_id", "trace_id", "span_id")
_LONGEST_LINE = 64 * 1024
_SHORT_TEXT = 200


def add_context(_logger: Any, _method: str, event: Event) -> Event:
    """The ids of the work that runs now, and the fields bound to it."""
    operation = current.get()
    if operation is None:
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            event.setdefault("trace_id", f"{context.trace_id:032x}")
            event.setdefault("span_id", f"{context.span_id:016x}")
        return event
    for name, value in operation.fields.items():
        event.setdefault(name, value)
    if operation.correlation_id:
        event.setdefault("correlation_id", operation.correlation_id)
    if operation.trace_id:
        event.setdefault("trace_id", operation.trace_id)
        context = trace.get_current_span().get_span_context()
        span_id = f"{context.span_id:016x}" if context.is_valid else operation.span_id
        event.setdefault("span_id", span_id)
    return event


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


def add_exception(_logger: Any, _method: str, event: Event) -> Event:
    """``exc_info`` as structured fields."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = fields_of(error)
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
    if "event" in event:
        event["message"] = event.pop("event")
    ordered: dict[str, Any] = {name: event.pop(name) for name in _FIRST if name in event}
    ordered.update(event)
    return ordered


def exception_as_text(_logger: Any, _method: str, event: Event) -> Event:
    """For people, and for structlog's console, which takes a text alone."""
    told = event.get("exception")
    if isinstance(told, dict):
        lines = [f"    {frame}" for frame in told.get("frames", ())]
        lines.append(f"{told.get('type', 'exception')}: {told.get('message', told)}")
        lines += [f"  because of {told['cause']}"] if "cause" in told else []
        event["exception"] = "\n".join(lines)
    elif told is not None:
        event["exception"] = str(told)
    return event


def to_json(_logger: Any, _method: str, event: Event) -> str:
    """One object on one line; a line that is too long loses what is long, never its validity."""
    line = _encoded(event)
    if len(line) > _LONGEST_LINE:
        short: dict[str, Any] = {
            name: str(event[name])[:_SHORT_TEXT] for name in _FIRST if name in event
        }
        short["message"] = str(event.get("message", ""))[:2000]
        short["truncated"] = f"the line had {len(line)} bytes"
        rest = {name: value for name, value in event.items() if _is_short(value)}
        line = _encoded({**short, **rest, **short})
        if len(line) > _LONGEST_LINE:
            line = _encoded(short)
    return line.decode()


def _is_short(value: Any) -> bool:
    """Numbers and words: method, endpoint and status of a request stay on its line."""
    if isinstance(value, str):
        return len(value) <= _SHORT_TEXT
    return value is None or isinstance(value, int | float)


def _encoded(event: Event) -> bytes:
    return orjson.dumps(event, default=str)
