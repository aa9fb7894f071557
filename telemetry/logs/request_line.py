"""The request's line, by a shorter way than structlog's processors where nothing else would happen.

A line through structlog, Python's logging and our processors costs 41 microseconds, one from
a template for its method, route and status 2. What is written is the same, and a test holds the two
against each other. The long way is taken as soon as anybody has a filter, another handler, another
format or a processor of their own, and for the few requests of which there is more to say.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import Any

import orjson
import structlog

from telemetry.logs import pipeline, structlog_context
from telemetry.logs.masking import mask_text
from telemetry.logs.processors import REQUEST_FIELDS, RequestFields

NAME = "telemetry.request"

_long_way = pipeline.get_logger(NAME)
_logger = logging.getLogger(NAME)
#: All above it. Named here so that it is there: else its place in the chain could be taken later.
_parent = logging.getLogger("telemetry")
_root = logging.getLogger()
_LEVELS = {logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}

#: What a path may have that JSON takes as it is and no secret is told by.
_PLAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.~-"
#: How many statements most requests run, as text.
_FEW = tuple(map(str, range(100)))
#: Three decimals: two of them and some divisions of integers take half of what a float's format
#: takes.
_THREE = tuple(f"{number:03d}" for number in range(1000))
_SECOND = 1_000_000

enabled = _logger.isEnabledFor


#: What each request has of its own, in the order of the line. Its two times are given in
#: nanoseconds.
FIELDS = (
    "path",
    "status",
    "duration_seconds",
    "db_queries",
    "db_seconds",
    "user_id",
    "client_ip",
    "response_bytes",
)
Values = tuple[str, int, int, int, int, Any, str, int]


class Template:
    """The parts of a line that requests with the same method, route and status share."""

    __slots__ = ("behind_path", "endpoint", "levels", "message", "method", "middle")

    def __init__(self, method: str, endpoint: str, status: int) -> None:
        self.method = method
        self.endpoint = endpoint
        self.message = f"{method} {endpoint} {status}"
        self.levels = {
            level: f'Z","level":"{name}","logger":"{NAME}","message":{_json(self.message)},'
            f'"correlation_id":"'
            for level, name in _LEVELS.items()
        }
        self.middle = f'","method":"{method}","endpoint":{_json(endpoint)},"path":'
        self.behind_path = f',"status":{status},"duration_seconds":'


#: The second of the last line, how lines of it begin, and the handler that gets them.
_second: tuple[int, str, pipeline.LineHandler | None] = (0, "", None)


def write(
    level: int,
    template: Template,
    ids: tuple[str, str, str],
    values: Values,
    more: dict[str, Any],
) -> None:
    """Write a line.

    ``ids`` are the request's correlation ID, trace id and span id, of characters that JSON takes
    as they are; ``more`` is what few requests have, and what the application bound.
    """
    global _second
    now = time.time_ns() // 1000
    seconds, begin, handler = _second
    if seconds != now // _SECOND:
        seconds = now // _SECOND
        begin = time.strftime('{"timestamp":"%Y-%m-%dT%H:%M:%S.', time.gmtime(seconds))
        handler = _only_handler()
        _second = seconds, begin, handler
    path, _, duration, queries, db_duration, user_id, client_ip, size = values
    took, db_took = (duration + 500) // 1000, (db_duration + 500) // 1000
    if (
        more
        or handler is None
        or _root.handlers != [handler]
        or _logger.handlers
        or _logger.filters
        or _parent.handlers
        or not _logger.propagate
        or not _parent.propagate
        or (structlog_context.variables and structlog.contextvars.get_contextvars())
    ):
        _write_long(level, template, ids, values, more)
        return
    correlation_id, trace_id, span_id = ids
    now %= _SECOND
    three = _THREE
    if took < _SECOND and db_took < _SECOND:
        took_text = f"0.{three[took // 1000]}{three[took % 1000]}"
        db_text = f"0.{three[db_took // 1000]}{three[db_took % 1000]}"
    else:
        took_text, db_text = f"{took / 1e6:.6f}", f"{db_took / 1e6:.6f}"
    try:
        # Bytes of which nothing is left: a third of what an expression takes.
        plain = not path.encode().strip(_PLAIN)
        quoted = f'"{path}"' if plain else _json(mask_text(path))
        line = (
            f"{begin}{three[now // 1000]}{three[now % 1000]}{template.levels[level]}"
            f'{correlation_id}","trace_id":"{trace_id}","span_id":"{span_id}{template.middle}'
            f"{quoted}{template.behind_path}{took_text},"
            f'"db_queries":{_FEW[queries] if queries < 100 else queries},'
            f'"db_seconds":{db_text},'
            f'"user_id":{_json(user_id)},'
            f'"client_ip":{_quoted(client_ip)},"response_bytes":{size}}}\n'
        ).encode()
    except (TypeError, UnicodeEncodeError):
        # A lone surrogate in the path, a user's key of a type that JSON has not.
        _write_long(level, template, ids, values, more)
        return
    handler.write(line)


@functools.lru_cache(maxsize=1000)
def _quoted(address: str) -> str:
    return _json(address)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _write_long(
    level: int,
    template: Template,
    ids: tuple[str, str, str],
    values: Values,
    more: dict[str, Any],
) -> None:
    of_this = dict(zip(FIELDS, values, strict=True))
    for name in ("duration_seconds", "db_seconds"):
        of_this[name] = (of_this[name] + 500) // 1000 / 1e6
    bound = more.get("bound", {})
    fields = {
        **dict(zip(("correlation_id", "trace_id", "span_id"), ids, strict=True)),
        "method": template.method,
        "endpoint": template.endpoint,
        **of_this,
        **more.get("fields", {}),
    }
    if structlog.get_config()["processors"] is pipeline.configured:
        _long_way.log(level, template.message, **{REQUEST_FIELDS: RequestFields(bound, fields)})
    else:
        _long_way.bind(**{**bound, **fields}).log(level, template.message)


def _only_handler() -> pipeline.LineHandler | None:
    """The root's only handler, if it would only write the line.

    Looked for once in a second; other handlers and filters, which change most, at each line.
    """
    if len(_root.handlers) != 1:
        return None
    handler = _root.handlers[0]
    if type(handler) is not pipeline.LineHandler or not handler.quick:
        return None
    if structlog.get_config()["processors"] is not pipeline.configured:
        return None
    return handler
