"""The values of this process: aligned slots of 8 bytes, in memory or in a file that others read.

A slot is written as one 8-byte store, so a reader in another process sees the old value or the
new one and nothing between. A series' name is listed before its slot is written. Slot numbers
stay what they are for the life of the process and in its forked children, whose own file begins
with the parent's names and with zeros.

Signal handlers and finalizers run in the middle of what their thread was doing, and may count,
create a series or fork there. The lock lets its own thread in again, and what must not be cut in
two is written as neighbouring statements without a call between them: CPython (3.11 to 3.13) runs
handlers and finalizers when a call returns and at the end of a loop's turn, not between those.
``tests/telemetry/test_reentrance.py`` interrupts all of it some 10,000 times.
"""

from __future__ import annotations

import logging
import mmap
import os
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from telemetry.metrics import locks
from telemetry.metrics.directory import (
    LONGEST,
    MAGIC,
    READABLE,
    Exemplars,
    Series,
    cleaned,
    frame,
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
#: Slots of a process without files: address space that is reserved at once, so that the values
#: never move. Pages that nobody wrote cost no memory.
_MEMORY_CAPACITY = 1 << 23
OVERFLOW = "overflow"

#: In the slot of a series that this process has no value for: a gauge that was not set since the
#: fork, a series that was removed. A quiet NaN (IEEE 754, section 6.2) whose payload no
#: arithmetic makes, so that a NaN that somebody set is a value.
UNSET_BITS = 0x7FF8_7465_6C65_6D31
UNSET: float = struct.unpack("d", struct.pack("Q", UNSET_BITS))[0]
#: The NaNs that arithmetic makes: of ``float("nan")``, and of ``inf - inf`` on x86.
NAN_BITS = frozenset({0x7FF8_0000_0000_0000, 0xFFF8_0000_0000_0000})

#: Slots of an exemplar before its labels: number of the write, time, value, length of the labels;
#: behind the labels the number again. The last is written first, so that who copies the record
#: upwards while it is written finds two different numbers.
EXEMPLAR_HEAD = 4
#: Slots for labels: `trace_id` and its 32 digits fit.
_EXEMPLAR_ROOM = 6


def _nobody_counts(reason: str) -> None:
    """Until somebody connects a counter."""


class ValueStore:
    """Slots, their names, and one lock for both.

    The lock may be taken again by the thread that has it: several writes are one batch in
    ``with store.lock``. Nothing is logged under it: a handler of logging may count as well.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.path: Path | None = None
        #: Bound on the series of one metric; past it comes the metric's overflow series.
        self.series_limit = 5000
        self.count_dropped: Callable[[str], None] = _nobody_counts
        #: Told the reason for each observation that is lost.
        self.count_lost: Callable[[str], None] = _nobody_counts
        #: Families without a bound: the one that counts what was past a bound.
        self.unbounded: set[str] = set()
        #: Every record so far, framed.
        self.names = bytearray(MAGIC)
        self._named = 0
        self._slots_file = -1
        self._names_file = -1
        #: What the open files are, by their descriptors.
        self._opened: dict[int, locks.Identity | None] = {}
        #: Changes with the files: who was interrupted by a fork must not go on with the old ones.
        self._generation = 0
        self._slots: dict[Series, int] = {}
        self._children: dict[str, set[tuple[str, ...]]] = {}
        self._gauges: list[int] = []
        #: Slots of values that are gone, by what they are listed as: the next such value gets one.
        self._free: dict[Series, list[int]] = {}
        self._exemplars: dict[int, tuple[int, int]] = {}
        #: When a value's exemplar may be replaced, on the monotonic clock.
        self.exemplar_due: dict[int, float] = {}
        self._writes_exemplar = False
        self._locked_for_fork: list[Any] = []
        #: What is wrong, until it is logged; and whether it was.
        self._complaint = ""
        self._complained = False
        self.used = _FIRST_FREE + _TRASH_ROOM
        self._use(_memory())

    def _use(self, memory: bytearray | mmap.mmap) -> None:
        self.raw = memoryview(memory)
        self.cells = self.raw.cast("d")
        #: The same as whole numbers, for what a comparison of floats cannot tell.
        self.bits = self.raw.cast("Q")
        # Last: an interruption before it finds more room than it knows of.
        self.capacity = len(self.cells)

    def slot(self, series: Series) -> int:
        """The first slot of a series, its values 0 when it is new. Never raises for want of room:
        what finds none is written where nobody reads."""
        known = self._slots.get(series)
        if known is not None:
            return known
        series = cleaned(series)
        with self.lock:
            if series in self._slots:
                return self._slots[series]
            slot, framed = self._prepare(series)
            if not framed:
                return slot
            gauge = [slot] if series.kind == "gauge" else []
            # No call from here on: whoever interrupts finds the series listed, or not at all.
            if series not in self._slots:
                self.names += framed
                self._gauges += gauge
                self._slots[series] = slot
            self.write_names()
            return self._slots[series]

    def own_slot(self, series: Series) -> tuple[int, Series | None]:
        """A slot that no other value has, with 0 in it; it may be given back by ``free_slot``.

        The second is what it is listed as, None where it is shared after all: past the bound.
        """
        series = cleaned(series)
        with self.lock:
            free = self._free.get(series)
            if free:
                slot = free.pop()
                for place in range(slot, slot + series.slots):
                    self.cells[place] = 0.0
                return slot, series
            slot, framed = self._prepare(series)
            if not framed:
                return slot, None
            gauge = [slot] if series.kind == "gauge" else []
            # As in `slot`.
            self.names += framed
            self._gauges += gauge
            self.write_names()
            return slot, series

    def free_slot(self, slot: int, series: Series) -> None:
        """The value of ``own_slot`` is gone: no scrape shows it any more. Takes no lock, for
        finalizers run at any moment."""
        self.bits[slot] = UNSET_BITS
        self._free.setdefault(series, []).append(slot)

    def hide(self, slots: list[int], *, hidden: bool) -> None:
        """Take values out of the scrape that are still written to, or show them again."""
        framed = frame({"hide" if hidden else "show": slots})
        with self.lock:
            self.names += framed
            self.write_names()

    def _prepare(self, series: Series) -> tuple[int, bytes]:
        """A slot for a new series and its record, which is empty where the slot is another's."""
        if series.label_names and not self._within_limit(series):
            return self._overflow_slot(series), b""
        slot = self._take(series.slots)
        framed = frame_series(series, slot)
        if len(framed) > LONGEST and set(series.label_values) - {OVERFLOW}:
            return self._overflow_slot(series), b""
        if slot == TRASH or len(framed) > LONGEST:
            self.count_lost("no_room")
            return TRASH, b""
        return slot, framed

    def _overflow_slot(self, series: Series) -> int:
        total = "_total" if series.kind == "counter" else ""
        self.count_dropped(series.family + total)
        return self.slot(overflow(series))

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
            if self._writes_exemplar:
                # This interrupts the writing of another one.
                self.count_lost("interrupted")
                return
            self._writes_exemplar = True
            try:
                self._write_exemplar(value_slot, labels, value, timestamp)
            finally:
                self._writes_exemplar = False

    def _write_exemplar(
        self, value_slot: int, labels: bytes, value: float, timestamp: float
    ) -> None:
        at, room = self._exemplars.get(value_slot) or (TRASH, 0)
        if len(labels) > room * 8:
            at, room = self._make_exemplar_room(value_slot, len(labels))
            if at == TRASH:
                return
        length = len(labels)
        cells = self.cells
        written = cells[at] + 1
        cells[at + EXEMPLAR_HEAD + room] = written
        start = (at + EXEMPLAR_HEAD) * 8
        self.raw[start : start + length] = labels
        cells[at + 3] = length
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
            framed = frame_exemplars(Exemplars(value_slot, at, room))
            self.names += framed
            self._exemplars[value_slot] = (at, room)
            self.write_names()
        return at, room

    def _take(self, count: int) -> int:
        while self.used + count > self.capacity:
            if not self._grow(self.used + count):
                return TRASH
        # No call between these two: whoever interrupts takes other slots.
        first = self.used
        self.used = first + count
        return first

    def _grow(self, needed: int) -> bool:
        if self.path is None:
            # Values in memory do not move: whoever interrupts would write where they were.
            self._complaint = self._complaint or "there are too many series"
            return False
        generation = self._generation
        capacity = max(needed, 2 * self.capacity)
        try:
            memory = _map(self._slots_file, capacity)
        except OSError as error:
            self._complain(error)
            return False
        if generation == self._generation and capacity > self.capacity:
            self._use(memory)
        return True

    def write_names(self) -> None:
        """Append to the file what is not there yet; what cannot be written is tried again."""
        with self.lock:
            start = self._named
            if self.path is None or start == len(self.names):
                return
            if locks.identity(self._names_file) != self._opened.get(self._names_file):
                # Somebody closed it; `is_lost` says so.
                return
            generation = self._generation
            try:
                written = os.pwrite(self._names_file, self.names[start:], start)
            except OSError as error:
                self._complain(error)
                return
            # Whoever interrupted wrote the same and more; what is written twice is the same.
            if generation == self._generation:
                self._named = start + written

    def open(self, path: Path) -> bool:
        """Keep the values in ``path`` + ``.slots`` and ``.names`` from now on, present ones kept.

        False when the files cannot be made: the values stay in memory, and a request is served
        all the same.
        """
        with self.lock:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            before, self._opened = self._opened, {}
            names_path = path.with_name(f"{path.name}.names")
            slots = names = -1
            try:
                names = locks.begin(names_path)
                slots = os.open(f"{path}.slots", flags, 0o600)
                os.fchmod(slots, READABLE)
                self._move(slots)
                self._generation += 1
                self._opened = {one: locks.identity(one) for one in (slots, names)}
                self._slots_file, self._names_file = slots, names
                self._named = 0
                self.path = path
                self.write_names()
                locks.finish(names_path)
            except OSError as error:
                self._complain(error)
                if self.path == path:
                    self.path = None
                    self._slots_file = self._names_file = -1
                self._opened = before
                for descriptor in (slots, names):
                    if descriptor >= 0:
                        os.close(descriptor)
                for made in (Path(f"{path}.slots"), locks.unfinished(names_path)):
                    with suppress(OSError):
                        made.unlink()
                return False
            for descriptor, identity in before.items():
                # A number that somebody closed may be another file's by now.
                if locks.identity(descriptor) == identity:
                    os.close(descriptor)
            return True

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the names and of the slots, -1 without files."""
        return self._names_file, self._slots_file

    def is_lost(self) -> bool:
        """Whether the files of this process are not where they were, or not open any more: a
        cleaner of temporary files removed them, or a daemon closed all descriptors."""
        if self.path is None:
            return False
        files = (f"{self.path}.slots", self._slots_file), (f"{self.path}.names", self._names_file)
        return not all(locks.is_at(Path(path), descriptor) for path, descriptor in files)

    def begin_again(self) -> None:
        """What was counted so far is counted elsewhere: begin at 0 with the next ``open``."""
        with self.lock:
            gauges = {slot: self.bits[slot] for slot in self._gauges}
            for slot in range(self.used):
                self.bits[slot] = 0
            for slot, value in gauges.items():
                self.bits[slot] = value

    def _move(self, slots_file: int) -> None:
        """Bring the values to a file. Raises OSError when it has no room."""
        moved = False
        while not moved:
            capacity = max(_FIRST_CAPACITY, self.used)
            raw = memoryview(_map(slots_file, capacity))
            cells, bits = raw.cast("d"), raw.cast("Q")
            # No call from here on: whoever interrupts counts before the copy or in it.
            if self.used <= capacity:
                size = self.used * 8
                raw[:size] = self.raw[:size]
                self.raw = raw
                self.cells = cells
                self.bits = bits
                self.capacity = capacity
                moved = True

    def _complain(self, error: OSError) -> None:
        self._complaint = self._complaint or str(error.strerror or error)

    def tell(self) -> None:
        """Log what is wrong, once; the caller holds no lock."""
        if self._complaint and not self._complained:
            self._complained = True
            logger.warning(
                "metrics of this process cannot be written to their folder (%s); "
                "requests are served, what found no room is missing from the scrape",
                self._complaint,
            )

    def before_fork(self) -> None:
        lock = self.lock
        self._locked_for_fork.append(lock)
        lock.acquire()

    def after_fork_in_parent(self) -> None:
        if self._locked_for_fork:
            # A signal handler that raised may have ended `before_fork` before it had the lock.
            with suppress(RuntimeError):
                self._locked_for_fork.pop().release()

    def begin_in_child(self, path: Path | None) -> None:
        """After a fork: values of one's own that begin at 0, under the parent's names."""
        self.lock = threading.RLock()
        self._locked_for_fork = []
        inherited, self._opened = self._opened, {}
        self._generation += 1
        self.path = None
        self._slots_file = self._names_file = -1
        self._complaint = ""
        self._complained = False
        self._writes_exemplar = False
        self._use(_memory())
        self.exemplar_due = {}
        for slot in self._gauges:
            self.bits[slot] = UNSET_BITS
        for free in self._free.values():
            for slot in free:
                self.bits[slot] = UNSET_BITS
        for descriptor, identity in inherited.items():
            if locks.identity(descriptor) == identity:
                # With it goes this process' part of the parent's lock.
                os.close(descriptor)
        if path is not None:
            self.open(path)


def overflow(series: Series) -> Series:
    """The series that takes what is past the bound: every label but ``le`` says so."""
    values = (OVERFLOW,) * len(series.label_values)
    if series.suffix == "_bucket":
        values = (*values[:-1], series.label_values[-1])
    return series._replace(label_values=values)


def _memory() -> bytearray | mmap.mmap:
    """Return room for the values of a process without files."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    capacity = _MEMORY_CAPACITY
    while capacity > _FIRST_CAPACITY:
        # Less where address space is limited (RLIMIT_AS).
        with suppress(OSError):
            return mmap.mmap(-1, capacity * 8, flags=flags)
        capacity //= 2
    return bytearray(_FIRST_CAPACITY * 8)


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
