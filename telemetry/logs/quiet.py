"""What is not written because the request's own line says it already."""

from __future__ import annotations

import logging

from telemetry.context import current

_DJANGO = ("django.request", "django.security", "django.server")

#: Set when the middleware is in place; without it Django's lines are the only ones.
request_lines = False


class RequestLineSaysIt(logging.Filter):
    """Django's own lines about an answer: the request's line has its status and its exception.

    Why Django refused a request (a hostile Host, a failed CSRF check) is kept for that line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not request_lines or not record.name.startswith(_DJANGO):
            return True
        operation = current.get()
        if operation is not None and not operation.reason and record.name != "django.server":
            operation.reason = record.getMessage()[:300]
        return not hasattr(record, "status_code") and operation is None
