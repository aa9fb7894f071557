"""What user code says about a span, as values that every exporter can encode.

The rules are those of OpenTelemetry's SDK 1.45 (``opentelemetry.attributes``): a value of another
type becomes text if it has a text of its own, a key must be a text, mappings and sequences may
nest. Beyond them nothing here raises, whatever ``__str__`` does, and sizes are bounded: a receiver
refuses a request of several megabytes, and with it the spans of everybody else.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.trace import SpanKind

logger = logging.getLogger(__name__)

#: Characters of one text.
LONGEST_TEXT = 65_536
#: Levels of nested mappings and sequences; one that contains itself ends there.
DEEPEST = 16
#: Different warnings that one process writes: the same mistake comes with every request.
_MOST_WARNINGS = 100

#: What :func:`attribute_value` gives for a value that cannot be exported.
INVALID: Final = object()

_warned: set[str] = set()


def warn_once(message: str) -> None:
    """Write a WARNING the first time that its text comes."""
    if message not in _warned and len(_warned) < _MOST_WARNINGS:
        _warned.add(message)
        logger.warning(message)


def as_text(value: Any) -> str:
    """Return ``value`` as text that UTF-8 can encode, of at most ``LONGEST_TEXT`` characters."""
    if type(value) is not str:
        value = _converted_to_text(value)
    if len(value) > LONGEST_TEXT:
        value = value[: LONGEST_TEXT - 1] + "…"
    if not value.isascii():
        # A lone surrogate becomes a question mark.
        value = value.encode("utf-8", "replace").decode()
    text: str = value
    return text


def _converted_to_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # Without the __str__ of a subclass: the member of an Enum is its value.
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value[:LONGEST_TEXT]).decode("utf-8", "replace")
    try:
        return str.__str__(str(value))
    except Exception as error:  # noqa: BLE001  a broken __str__ must not reach the application
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def attribute_value(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911  one for each kind
    """Return ``value`` as it is exported, or ``INVALID``. What can change is copied."""
    kind = type(value)
    if kind is str:
        return as_text(value)
    if value is None or kind is bool or kind is float:
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 63 else _converted_to_text(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, bytes):
        return bytes(value[:LONGEST_TEXT])
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Sequence):
        items = [attribute_value(item, depth + 1) for item in value]
        return tuple(None if item is INVALID else item for item in items)
    if isinstance(value, Mapping):
        return attributes_of(value, depth + 1)[0]
    warn_once(f"a span's attribute cannot be a {kind.__name__}: its text is exported if it has one")
    return as_text(value) if _has_text(kind) else INVALID


def _has_text(kind: Any) -> bool:
    """Whether ``str()`` says more than where the object is in memory."""
    return kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__


def attributes_of(given: Any, depth: int = 0) -> tuple[dict[str, Any], int]:
    """Return a mapping's valid attributes, and how many were left out. Never raises.

    A key that is not a text becomes its text, as in the SDK.
    """
    found: dict[str, Any] = {}
    if given is None:
        return found, 0
    dropped = 0
    try:
        items = list(given.items())
    except Exception:  # noqa: BLE001  anything but a mapping
        warn_once(f"a span's attributes must be a mapping, not a {type(given).__name__}")
        return found, 1
    for key, item in items:
        name = key
        if not isinstance(key, str) and key and _has_text(type(key)):
            name = as_text(key)
        value = attribute(name, item, depth)
        if value is INVALID:
            dropped += 1
        else:
            found[as_text(name)] = value
    return found, dropped


def attribute(key: Any, value: Any, depth: int = 0) -> Any:
    """Return the value of one attribute as it is exported, or ``INVALID``. Never raises."""
    if not isinstance(key, str) or not key:
        warn_once(f"the key of a span's attribute must be a text, not {as_text(key)[:80]!r}")
        return INVALID
    try:
        return attribute_value(value, depth)
    except Exception as error:  # noqa: BLE001  a sequence or mapping of a user's own class
        warn_once(f"a span's attribute {key[:80]} cannot be read ({type(error).__name__})")
        return INVALID


def span_kind(kind: Any) -> SpanKind:
    """Return ``kind``, or INTERNAL (the default of OpenTelemetry's API) for what is none."""
    if isinstance(kind, SpanKind):
        return kind
    warn_once(f"the kind of a span must be a SpanKind, not {as_text(kind)[:80]!r}")
    return SpanKind.INTERNAL


# Times. A span's are those of ``perf_counter_ns``, from which the exporter makes dates for a whole
# batch. One that user code gave is exact and stays so: it is the complement of its nanoseconds
# since the epoch, and thereby below zero.


def given_time(nanoseconds: Any) -> int:
    """Return a time of user code (nanoseconds since the epoch), or now for an impossible one."""
    try:
        whole = int(nanoseconds) if math.isfinite(nanoseconds) else -1
    except (TypeError, ValueError, OverflowError):
        whole = -1
    if isinstance(nanoseconds, bool) or not 0 <= whole < 1 << 64:
        shown = as_text(nanoseconds)[:80]
        warn_once(f"a span's time must be nanoseconds since the epoch, not {shown!r}: now is used")
        return time.perf_counter_ns()
    return ~whole


def unix_nanoseconds(moment: int, offset: int) -> int:
    """Return a span's time as nanoseconds since the epoch; see :func:`epoch_offset`."""
    return moment + offset if moment >= 0 else ~moment


def epoch_offset() -> int:
    """What makes a time since the epoch of one of ``perf_counter_ns``."""
    return time.time_ns() - time.perf_counter_ns()
