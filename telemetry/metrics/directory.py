"""The names beside the slots: an append-only list of records, one for each series.

A record is framed by its length and its checksum (CRC-32), so that a reader knows a record that is
not written to its end yet from one that was damaged.
"""

from __future__ import annotations

import functools
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from telemetry.metrics.text import LONGEST_HELP, clean

_FRAME = struct.Struct("<II")
#: Bytes of the longest record: a length beyond it is damage.
LONGEST = 1 << 20

MAGIC = b"telemetry metrics 1\n"

#: Mode of every file of an instance, whatever the umask: its folder is closed to others, and who
#: may enter is a worker that may have another user than the master.
READABLE = 0o644


#: What a metric can be, by its TYPE line.
KINDS = frozenset({"counter", "gauge", "histogram", "summary"})


class Series(NamedTuple):
    """What a slot means."""

    #: Name of the metric without ``_total``, ``_bucket`` and the like.
    family: str
    #: counter, gauge, histogram or summary.
    kind: str
    #: How a gauge of several processes becomes one number; prometheus_client's multiprocess modes.
    mode: str
    documentation: str
    #: ``_total``, ``_sum``, ``_count``, ``_bucket`` or nothing.
    suffix: str
    label_names: tuple[str, ...]
    label_values: tuple[str, ...]
    #: Upper bounds as they are written in ``le``: of a whole histogram, whose slots are its sum
    #: and then its buckets. Empty for a series of one value.
    bounds: tuple[str, ...] = ()

    @property
    def slots(self) -> int:
        """Slots that the series takes."""
        if self.bounds:
            return 1 + len(self.bounds)
        return 2 if self.mode.endswith("mostrecent") else 1


class Exemplars(NamedTuple):
    """Where the exemplar of a value stands; a later record for the same value replaces it."""

    value_slot: int
    slot: int
    #: Slots for the labels.
    room: int


class Hidden(NamedTuple):
    """Values that no scrape shows from this record on, or shows again."""

    slots: tuple[int, ...]
    hidden: bool


class UnreadableError(Exception):
    """A record was damaged: what follows it cannot be read either."""


def cleaned(series: Series) -> Series:
    """Return the series with texts that a scrape can show, whatever they were. Never raises."""
    return series._replace(
        family=clean(series.family),
        documentation=clean(series.documentation, LONGEST_HELP),
        label_names=tuple(map(clean, series.label_names)),
        label_values=tuple(map(clean, series.label_values)),
    )


def frame(record: Any) -> bytes:
    payload = json.dumps(record, separators=(",", ":")).encode()
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def frame_series(series: Series, slot: int) -> bytes:
    return frame([slot, *series])


def frame_exemplars(exemplars: Exemplars) -> bytes:
    return frame(list(exemplars))


def records(data: bytes, offset: int = 0) -> Iterator[tuple[int, Any]]:
    """Each whole record from ``offset`` on, with the offset behind it.

    Raises UnreadableError at a damaged one; one that is not whole yet ends the iteration.
    """
    while offset + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, offset)
        if length > LONGEST:
            raise UnreadableError
        start = offset + _FRAME.size
        payload = data[start : start + length]
        if len(payload) < length:
            return
        if zlib.crc32(payload) != checksum:
            raise UnreadableError
        offset = start + length
        try:
            yield offset, json.loads(payload)
        except ValueError:
            raise UnreadableError from None


def series_of(record: Any) -> tuple[int, Series]:
    """The slot and the meaning that a record tells. Raises UnreadableError."""
    try:
        slot, family, kind, mode, documentation, suffix, names, values, bounds = record
        series = Series(
            family, kind, mode, documentation, suffix, tuple(names), tuple(values), tuple(bounds)
        )
        texts = {
            *map(type, series[:5]),
            *map(type, series.label_names),
            *map(type, series.label_values),
        }
        right = (
            texts == {str} and kind in KINDS and len(series.label_names) == len(series.label_values)
        )
        if not right or not isinstance(slot, int) or slot < 0 or not _are_bounds(series.bounds):
            raise UnreadableError
        if suffix[:1] not in {"", "_"}:
            raise UnreadableError
        # The last label of a bucket is its bound.
        if suffix == "_bucket" and not (values and _are_bounds(series.label_values[-1:])):
            raise UnreadableError
    except (TypeError, ValueError):
        raise UnreadableError from None
    return slot, series


@functools.lru_cache(maxsize=100)
def _are_bounds(bounds: tuple[Any, ...]) -> bool:
    """Whether they are texts, of numbers: raises ValueError else. Few metrics have their own."""
    for bound in bounds:
        if not isinstance(bound, str):
            return False
        float(bound)
    return True


def exemplars_of(record: Any) -> Exemplars:
    """Where exemplars stand, as a record tells. Raises UnreadableError."""
    try:
        found = Exemplars(*record)
    except TypeError:
        raise UnreadableError from None
    if not all(isinstance(number, int) and number >= 0 for number in found):
        raise UnreadableError
    return found


def hidden_of(record: Any) -> Hidden:
    """The values that a record hides or shows. Raises UnreadableError."""
    hidden = "hide" in record
    slots = record.get("hide" if hidden else "show")
    if not isinstance(slots, list) or not all(isinstance(slot, int) for slot in slots):
        raise UnreadableError
    return Hidden(tuple(slots), hidden)
