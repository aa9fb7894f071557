"""What must never stand in a log line: secrets by their key, row values of database errors."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from telemetry import settings

MASKED = "***"

_SECRET_KEY = re.compile(
    r"authorization|cookie|token|passw|secret|api[-_.]?key|access[-_.]?key|private[-_.]?key"
    r"|credential|session(?:[-_.]?(?:id|key))?$|csrf|\bdsn\b|otp\b|pin$",
    re.IGNORECASE,
)
#: ``password=hunter2`` in a query string, a form or a connection string.
_PAIR = re.compile(
    r"(?i)\b([\w.-]*(?:token|passw|secret|api[-_.]?key|access[-_.]?key|credential|sessionid|csrf)"
    r"[\w.-]*)(=)[^&\s\"']+"
)
#: ``Authorization: Bearer abc`` and the like.
_SCHEME = re.compile(r"(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{8,}")
#: ``postgresql://user:password@host``.
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
#: PostgreSQL's DETAIL and CONTEXT show values of rows.
_DETAIL = re.compile(r"\n?\b(?:DETAIL|CONTEXT):.*", re.DOTALL)

_DEEPEST = 8
_LONGEST_TEXT = 8192
_MOST_ITEMS = 200


def is_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None or key.lower() in masked_keys()


@functools.lru_cache(maxsize=1)
def masked_keys() -> frozenset[str]:
    """The project's own, from ``TELEMETRY["MASKED_KEYS"]``."""
    try:
        return frozenset(key.lower() for key in settings.get().MASKED_KEYS)
    except ImproperlyConfigured:
        # Lines are written before Django knows its settings, and about wrong ones.
        return frozenset()


def mask(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911  one for each kind of value
    """``value`` without secrets, of bounded depth and size, made of what JSON can hold."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {
            str(key): MASKED if is_secret(str(key)) else mask(item, depth + 1)
            for key, item in list(value.items())[:_MOST_ITEMS]
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
    if isinstance(value, bytes | bytearray):
        return mask_text(bytes(value[:_LONGEST_TEXT]).decode("utf-8", "replace"))
    try:
        return mask_text(str(value))
    except Exception as error:  # noqa: BLE001  a broken __str__ must not lose the line
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def mask_text(text: str) -> str:
    """Secrets inside a text, as they stand in query strings, headers and addresses."""
    if len(text) > _LONGEST_TEXT:
        text = text[:_LONGEST_TEXT] + "…"
    if "=" in text:
        text = _PAIR.sub(rf"\1\2{MASKED}", text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\1:{MASKED}@", text)
    if " " in text:
        text = _SCHEME.sub(rf"\1 {MASKED}", text)
    return text


def without_detail(message: str) -> str:
    """An exception's message without PostgreSQL's DETAIL and CONTEXT."""
    return _DETAIL.sub("", message)
