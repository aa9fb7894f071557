"""The values of this process: aligned slots of 8 bytes, in memory or in a file that others read.

A slot is written as one 8-byte store, so a reader in another process sees the old value or the
new one and nothing between. A series' name is listed before its slot is written. Slot numbers
stay what they are for the life of the process and in its forked children, whose own file begins
with the parent's names and with zeros.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from telemetry.metrics.directory import (
    MAGIC,
    READABLE,
    Exemplars,
    Series,
    frame_exemplars,
    frame_series,
)

logger = logging.getLogger(__name__)

#: Always 0: what a process has not got reads as this slot.
ZERO = 0
#: Never listed: what found no room is written here.
TRASH = 1
_FIRST_FREE = 2
#: The longest series, a histogram, must fit behind TRASH too.
_TRASH_ROOM = 256
MOST_BUCKETS = _TRASH_ROOM - 1

_FIRST_CAPACITY = 4096
OVERFLOW = "overflow"
#: In a gauge's slot: this process has not set it since it was forked.
UNSET = float("nan")

#: Slots of an exemplar before its labels: number of the write, time, value, length of the labels;
#: behind the labels the number again. The last is written first, so that who copies the record
#: upwards while it is written finds two different numbers.
EXEMPLAR_HEAD = 4
#: Slots for labels: `trace_id` and its 32 digits fit.
_EXEMPLAR_ROOM = 6


def _nobody_counts(metric: str) -> None:
    """Until somebody connects a counter."""


class ValueStore:
    """Slots, their names, and one lock for both.

    The lock may be taken again by the thread that has it: several writes are one batch in
    ``with store.lock``, and a finalizer that counts something cannot stop the process.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.path: Path | None = None
        #: Bound on the series of one metric; past it comes the metric's overflow series.
        self.series_limit = 5000
        self.count_dropped: Callable[[str], None] = _nobody_counts
        #: Families without a bound: the one that counts what was past a bound.
        self.unbounded: set[str] = set()
        #: Every record so far, framed.
        self.names = bytearray(MAGIC)
        self._named = 0
        self._slots_file = -1
        self._names_file = -1
        self._slots: dict[Series, int] = {}
        self._children: dict[str, set[tuple[str, ...]]] = {}
        self._gauges: list[int] = []
        self._exemplars: dict[int, tuple[int, int]] = {}
        #: When a value's exemplar may be replaced, on the monotonic clock.
        self.exemplar_due: dict[int, float] = {}
        self._complained = False
        self.used = _FIRST_FREE + _TRASH_ROOM
        self._use(bytearray(_FIRST_CAPACITY * 8))

    def _use(self, memory: bytearray | mmap.mmap) -> None:
        self.raw = memoryview(memory)
        self.cells = self.raw.cast("d")

    def slot(self, series: Series) -> int:
        """The first slot of a series, its values 0 when it is new. Never raises for want of room:
        what finds none is written where nobody reads."""
        known = self._slots.get(series)
        if known is not None:
            return known
        with self.lock:
            known = self._slots.get(series)
            if known is not None:
                return known
            if series.label_names and not self._within_limit(series):
                total = "_total" if series.kind == "counter" else ""
                self.count_dropped(series.family + total)
                return self.slot(overflow(series))
            slot = self._take(series.slots)
            if slot != TRASH:
                self._list(frame_series(series, slot))
                if series.kind == "gauge":
                    self._gauges.append(slot)
                self._slots[series] = slot
            return slot

    def _within_limit(self, series: Series) -> bool:
        values = series.label_values
        if series.suffix == "_bucket":
            values = values[:-1]
        if series.family in self.unbounded or set(values) == {OVERFLOW}:
            return True
        children = self._children.setdefault(series.family, set())
        if values not in children:
            if len(children) >= self.series_limit:
                return False
            children.add(values)
        return True

    def set_exemplar(self, value_slot: int, labels: bytes, value: float, timestamp: float) -> None:
        """Remember an exemplar for a value. ``labels`` as they are written between the braces."""
        if value_slot < _FIRST_FREE + _TRASH_ROOM:
            return
        with self.lock:
            at, room = self._exemplars.get(value_slot) or (TRASH, 0)
            if len(labels) > room * 8:
                at, room = self._make_exemplar_room(value_slot, len(labels))
                if at == TRASH:
                    return
            cells = self.cells
            written = cells[at] + 1
            cells[at + EXEMPLAR_HEAD + room] = written
            start = (at + EXEMPLAR_HEAD) * 8
            self.raw[start : start + len(labels)] = labels
            cells[at + 3] = len(labels)
            cells[at + 2] = value
            cells[at + 1] = timestamp
            cells[at] = written

    def set_exemplars(
        self, values: list[tuple[int, float]], trace_id: str, now: float, next_due: float
    ) -> None:
        """An exemplar for each value (its slot and what was observed), the next one due later."""
        labels = b'trace_id="%b"' % trace_id.encode()
        for value_slot, value in values:
            self.set_exemplar(value_slot, labels, value, now)
            self.exemplar_due[value_slot] = next_due

    def _make_exemplar_room(self, value_slot: int, length: int) -> tuple[int, int]:
        room = max(_EXEMPLAR_ROOM, -(-length // 8))
        at = self._take(EXEMPLAR_HEAD + room + 1)
        if at != TRASH:
            self._list(frame_exemplars(Exemplars(value_slot, at, room)))
            self._exemplars[value_slot] = (at, room)
        return at, room

    def _take(self, count: int) -> int:
        first = self.used
        if first + count > len(self.cells) and not self._grow(first + count):
            return TRASH
        self.used = first + count
        return first

    def _grow(self, needed: int) -> bool:
        capacity = max(needed, 2 * len(self.cells))
        if self.path is None:
            memory = bytearray(capacity * 8)
            memory[: len(self.raw)] = self.raw
            self._use(memory)
            return True
        try:
            self._use(_map(self._slots_file, capacity))
        except OSError as error:
            self._complain(error)
            return False
        return True

    def _list(self, framed: bytes) -> None:
        self.names += framed
        if self.path is not None:
            self.write_names()

    def write_names(self) -> None:
        """Append to the file what is not there yet; what cannot be written is tried again."""
        with self.lock:
            if self.path is None or self._named == len(self.names):
                return
            try:
                written = os.pwrite(self._names_file, self.names[self._named :], self._named)
            except OSError as error:
                self._complain(error)
            else:
                self._named += written

    def open(self, path: Path) -> bool:
        """Keep the values in ``path`` + ``.slots`` and ``.names`` from now on, present ones kept.

        False when the files cannot be made: the values stay in memory, and a request is served
        all the same.
        """
        with self.lock:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            slots = names = -1
            try:
                slots = os.open(f"{path}.slots", flags, 0o600)
                os.fchmod(slots, READABLE)
                memory = _map(slots, len(self.cells))
                memory[:] = bytes(self.raw)
                names = os.open(f"{path}.names", flags, 0o600)
                os.fchmod(names, READABLE)
            except OSError as error:
                self._complain(error)
                for descriptor in (slots, names):
                    if descriptor >= 0:
                        os.close(descriptor)
                for suffix in (".slots", ".names"):
                    with suppress(OSError):
                        os.unlink(f"{path}{suffix}")  # noqa: PTH108
                return False
            self._slots_file, self._names_file = slots, names
            self.path = path
            self._named = 0
            self._use(memory)
            self.write_names()
            return True

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "metrics of this process cannot be written to their folder (%s); "
                "requests are served, what found no room is missing from the scrape",
                error.strerror or error,
            )

    def before_fork(self) -> None:
        self.lock.acquire()

    def after_fork_in_parent(self) -> None:
        self.lock.release()

    def begin_in_child(self, path: Path | None) -> None:
        """After a fork: values of one's own that begin at 0, under the parent's names."""
        self.lock = threading.RLock()
        inherited = self._slots_file, self._names_file
        self.path = None
        self._slots_file = self._names_file = -1
        self._complained = False
        self._use(bytearray(len(self.cells) * 8))
        self.exemplar_due = {}
        for slot in self._gauges:
            self.cells[slot] = UNSET
        for descriptor in inherited:
            if descriptor >= 0:
                os.close(descriptor)
        if path is not None:
            self.open(path)


def overflow(series: Series) -> Series:
    """The series that takes what is past the bound: every label but ``le`` says so."""
    values = (OVERFLOW,) * len(series.label_values)
    if series.suffix == "_bucket":
        values = (*values[:-1], series.label_values[-1])
    return series._replace(label_values=values)


def _map(descriptor: int, slots: int) -> mmap.mmap:
    """The file in memory. Its blocks are reserved first: a write to a page that the disk has no
    room for would kill the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, slots * 8)
    else:  # macOS
        os.ftruncate(descriptor, slots * 8)
    return mmap.mmap(descriptor, slots * 8)


#: The values of this process.
store = ValueStore()
