"""What is not written because the request's own line says it already."""

from __future__ import annotations

import logging

from telemetry.context import current
from telemetry.logs.exceptions import was_told

_DJANGO = ("django.request", "django.security", "django.server")
_SERVERS = {"gunicorn.error", "uvicorn.error"}

#: Set when the middleware is in place; without it Django's lines are the only ones.
request_lines = False


class RequestLineSaysIt(logging.Filter):
    """Django's own lines about an answer: the request's line has its status and its exception.

    A server's line about an exception that left the application, as one in the middle of a stream
    does, comes after the request's, which had it with the ids. Why Django refused a request (a
    hostile Host, a failed CSRF check) is kept for the request's line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name in _SERVERS and record.exc_info and was_told(record.exc_info[1]):
            return False
        if not request_lines or not record.name.startswith(_DJANGO):
            return True
        operation = current.get()
        if operation is not None and not operation.reason and record.name != "django.server":
            operation.reason = record.getMessage()[:300]
        return not hasattr(record, "status_code") and operation is None
