"""django-structlog beside telemetry: one record for each request, with what both know.

Its middleware writes ``request_started`` and ``request_finished`` (or ``request_failed``) for each
request, and four more events around streamed bodies. With the setting ``MERGE_DJANGO_STRUCTLOG``
their fields are bound to the request, so that its record and its span have them, and the records
themselves are not written. What the middleware binds to structlog's context, as ``request_id``, is
on every record that the request's own code writes, as always.

https://django-structlog.readthedocs.io/en/latest/events.html
"""

from __future__ import annotations

import logging

from telemetry import settings
from telemetry.binding import bind
from telemetry.context import current

LOGGER = "django_structlog.middlewares.request"

EVENTS = frozenset(
    {
        "request_started",
        "request_finished",
        "request_failed",
        "request_cancelled",
        "streaming_started",
        "streaming_finished",
        "streaming_failed",
        "streaming_cancelled",
    }
)
#: Fields that every structlog record has, and those that say what the request's record says by
#: another name: ``code`` is its status, ``request`` its method and path, ``ip`` its client_ip.
_REDUNDANT = frozenset(
    {"event", "level", "logger", "timestamp", "exc_info", "exception", "stack_info"}
    | {"correlation_id", "trace_id", "span_id", "code", "request", "ip", "user_id"}
)


class MergeIntoRequestRecord(logging.Filter):
    """Drop a record of django-structlog's middleware and bind its fields to the request."""

    def filter(self, record: logging.LogRecord) -> bool:
        operation = current.get()
        event = record.msg
        if operation is None or not isinstance(event, dict) or event.get("event") not in EVENTS:
            return True
        if not settings.get().MERGE_DJANGO_STRUCTLOG:
            return True
        bind(
            **{
                str(name): value
                for name, value in event.items()
                if name not in _REDUNDANT and value is not None
            }
        )
        return False


def install() -> None:
    """Add the filter to the middleware's logger. Safe to call again."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(each, MergeIntoRequestRecord) for each in logger.filters):
        logger.addFilter(MergeIntoRequestRecord())
