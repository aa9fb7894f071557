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
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from opentelemetry.trace import SpanKind

logger = logging.getLogger(__name__)

#: Characters of one text, and those of all texts, numbers and items of one attribute together: a
#: list that contains itself twice has more items than memory does, and a ``range`` may have too.
LONGEST_TEXT = 65_536
#: Levels of nested mappings and sequences; one that contains itself ends there.
DEEPEST = 16
#: Attributes and links that are looked at of a mapping or an iterable, which may be endless. A span
#: keeps fewer.
MOST_LOOKED_AT = 1000
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
        try:
            value = _converted_to_text(value)
        except Exception as error:  # noqa: BLE001  a broken __str__ must not reach the application
            return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
    if len(value) > LONGEST_TEXT:
        value = value[: LONGEST_TEXT - 1] + "…"
    if not value.isascii():
        # A lone surrogate becomes a question mark.
        value = value.encode("utf-8", "replace").decode()
    text: str = value
    return text


def _converted_to_text(value: Any) -> str:
    """Raises whatever the value's own code raises."""
    if value is None:
        return ""
    if isinstance(value, str):
        # Without the __str__ of a subclass: the member of an Enum is its value.
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value[:LONGEST_TEXT]).decode("utf-8", "replace")
    return str.__str__(str(value))


class _Room:
    """Characters and items that are left of one attribute."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = LONGEST_TEXT

    def text(self, value: Any) -> str:
        """Return ``value`` as text, cut to the room."""
        found = as_text(value)
        if len(found) > self.left:
            found = found[: max(0, self.left - 1)] + "…"
        self.left -= len(found)
        return found

    def items(self, items: Any) -> Iterator[Any]:
        """Yield the items for which there is room, each of which takes one place."""
        for item in items:
            if self.left <= 0:
                return
            self.left -= 1
            yield item


def attribute_value(  # noqa: PLR0911  one for each kind
    value: Any, depth: int = 0, room: _Room | None = None
) -> Any:
    """Return ``value`` as it is exported, or ``INVALID``. What can change is copied.

    What is too long, too deep or has too many items ends with ``…``.
    """
    kind = type(value)
    if kind is str:
        return as_text(value) if room is None else room.text(value)
    if value is None or kind is bool or kind is float:
        return value
    if isinstance(value, int):
        return int(value) if -(1 << 63) <= value < 1 << 63 else as_text(value)
    if isinstance(value, float):
        return float(value)
    room = room or _Room()
    if isinstance(value, str):
        return room.text(value)
    if isinstance(value, bytes):
        found = bytes(value[: max(0, room.left)])
        room.left -= len(found)
        return found
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, Sequence):
        items = [attribute_value(item, depth + 1, room) for item in room.items(value)]
        if room.left <= 0:
            items.append("…")
        return tuple(None if item is INVALID else item for item in items)
    if isinstance(value, Mapping):
        return attributes_of(value, depth + 1, room)[0]
    warn_once(f"a span's attribute cannot be a {kind.__name__}: its text is exported if it has one")
    return room.text(value) if _has_text(kind) else INVALID


def _has_text(kind: Any) -> bool:
    """Whether ``str()`` says more than where the object is in memory."""
    return kind.__str__ is not object.__str__ or kind.__repr__ is not object.__repr__


def attributes_of(
    given: Any, depth: int = 0, room: _Room | None = None
) -> tuple[dict[str, Any], int]:
    """Return a mapping's valid attributes, and how many were left out. Never raises.

    A key that is not a text becomes its text, as in the SDK.
    """
    found: dict[str, Any] = {}
    if given is None:
        return found, 0
    dropped = 0
    try:
        items = list(islice(given.items(), MOST_LOOKED_AT))
        dropped = max(0, len(given) - len(items))
        pairs = [(key, item) for key, item in items]
    except Exception:  # noqa: BLE001  anything but a mapping
        warn_once(f"a span's attributes must be a mapping, not a {type(given).__name__}")
        return found, 1
    for key, item in pairs if room is None else room.items(pairs):
        name = _key(key)
        value = attribute(name, item, depth, room)
        if value is INVALID:
            dropped += 1
        else:
            found[name if room is None else room.text(name)] = value
    return found, dropped


def _key(key: Any) -> Any:
    """Return the text of a key that has one; any other as it is, which no attribute can have."""
    if type(key) is str:
        return as_text(key)
    try:
        return as_text(key) if isinstance(key, str) or (key and _has_text(type(key))) else key
    except Exception:  # noqa: BLE001  a class of the user's own
        return None


def attribute(key: Any, value: Any, depth: int = 0, room: _Room | None = None) -> Any:
    """Return the value of one attribute as it is exported, or ``INVALID``. Never raises."""
    if type(key) is not str:
        # A subclass may answer with anything, or raise.
        key = str.__str__(key) if issubclass(type(key), str) else key
    if type(key) is not str or not key:
        warn_once(f"the key of a span's attribute must be a text, not {as_text(key)[:80]!r}")
        return INVALID
    try:
        return attribute_value(value, depth, room)
    except Exception as error:  # noqa: BLE001  a sequence or mapping of a user's own class
        warn_once(f"a span's attribute {key[:80]} cannot be read ({type(error).__name__})")
        return INVALID


def span_kind(kind: Any) -> SpanKind:
    """Return ``kind``, or INTERNAL (the default of OpenTelemetry's API) for what is none."""
    # Not isinstance(), which asks a property of the object's own class.
    if type(kind) is SpanKind:
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
    except Exception:  # noqa: BLE001  no number, or a class of the user's own
        whole = -1
    if type(nanoseconds) is bool or not 0 <= whole < 1 << 64:
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
