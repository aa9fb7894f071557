"""Correlation IDs: one name for a request on the response, in logs, in spans, on outgoing calls."""

from __future__ import annotations

import os
import re

from telemetry.context import current

HEADER = "X-Correlation-ID"

_ACCEPTED = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def new_correlation_id() -> str:
    """32 random hexadecimal digits."""
    return os.urandom(16).hex()


def accepted(value: object) -> str | None:
    """``value`` if it may serve as a correlation ID, else None.

    1 to 128 characters of ``[A-Za-z0-9._:-]``. Anything else is not repeated anywhere: it would
    stand in headers, log lines and span attributes.
    """
    if isinstance(value, str) and _ACCEPTED.fullmatch(value):
        return value
    return None


def get_correlation_id() -> str | None:
    """The correlation ID of the work that runs now, None outside of any."""
    operation = current.get()
    return operation.correlation_id if operation is not None else None
