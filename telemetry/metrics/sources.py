"""Where a scrape reads numbers: this process' memory, the files of others, what the dead left.

Files of others are copied by ``pread`` and never mapped: a file that somebody cut short would
kill the reader of a mapping. The copy is dropped when its numbers are taken. What is kept for a
process is where its numbers stand, 8 bytes each, and nothing where another process agrees.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import Any

from telemetry.metrics import directory, locks
from telemetry.metrics.directory import MAGIC, Exemplars, Hidden, Series, UnreadableError
from telemetry.metrics.slots import EXEMPLAR_HEAD, NAN_BITS, UNSET_BITS, ZERO, ValueStore

#: What a record of names tells.
Told = tuple[int, Series] | Exemplars | Hidden
#: Kinds of numbers, each with rows of its own: what cannot be negative, sums, gauges.
KINDS = COUNTS, SUMS, GAUGES = range(3)


class Source:
    """Numbers by slot, and which row of the table each slot is."""

    #: Whether numbers never change, so that they are kept.
    lasts = False

    def __init__(self) -> None:
        #: The numbers, from when they are taken until they are dropped.
        self.data = b""
        self.values: Sequence[float] = ()
        #: Of each kind the slot of each row, ZERO where this process has none. A list while names
        #: are read, then a tuple, which the getter has as well.
        self.slots: list[Sequence[int]] = [()] * len(KINDS)
        self.getters: list[itemgetter[Any] | None] = [None] * len(KINDS)
        #: The gauges by row.
        self._gauges = array("d")
        #: Exemplars: the rows they belong to, the slots of their times (and two more, for an
        #: itemgetter of one item gives no tuple), their room for labels.
        self.exemplar_rows = array("I")
        self._exemplar_times: tuple[int, ...] = ()
        self._exemplar_rooms = array("I")
        self._exemplar_getter: itemgetter[Any] | None = None
        #: Digest of the numbers that were taken, that were counted, whose exemplars were seen.
        self._taken = 0
        self._counted: int | None = None
        self._seen: int | None = None
        #: The process id as the label ``pid`` tells it, nothing in a single process.
        self.process = ""
        #: Of numbers that last: the counts that were found to be sound.
        self.sound: tuple[float, ...] | None = None
        self.alive = True
        self.damaged = False
        self._read_names = len(MAGIC)
        self._names_end = False
        self._needed = ZERO + 1

    # Names

    def names(self, unreadable: Callable[[Source], None]) -> Iterator[Told]:
        """Read the names that were added."""
        fresh = b"" if self._names_end else self._names(self._read_names)
        # A name is written when there is room for its slots.
        room = self._room() if fresh else 0
        offset = 0
        try:
            for behind, record in directory.records(fresh):
                offset = behind
                told: Told
                if isinstance(record, dict):
                    yield directory.hidden_of(record)
                    continue
                if len(record) == len(Exemplars._fields):
                    told = directory.exemplars_of(record)
                    stop = told.slot + EXEMPLAR_HEAD + told.room + 1
                else:
                    told = directory.series_of(record)
                    stop = told[0] + told[1].slots
                if stop > room:
                    # Whatever number it tells: no more is read than there is.
                    unreadable(self)
                    continue
                self._needed = max(self._needed, stop)
                yield told
        except (UnreadableError, TypeError):
            # Nothing behind a damaged record can be found: the file is left at that.
            self._names_end = True
            unreadable(self)
        else:
            self._read_names += offset

    def slot(self, kind: int, row: int) -> int:
        """Where the number of a row stands, ZERO where this process has none."""
        slots = self.slots[kind]
        return slots[row] if 0 <= row < len(slots) else ZERO

    def learn(self, kind: int, row: int, slot: int) -> None:
        """The number of a row stands in ``slot``."""
        slots = self.slots[kind]
        if not isinstance(slots, list):
            slots = self.slots[kind] = list(slots)
        if row >= len(slots):
            slots += [ZERO] * (row + 1 - len(slots))
        slots[row] = slot

    def forget(self, slots: Container[int]) -> list[tuple[int, int, int]]:
        """Take these slots for none of this process'; gives the kind, row and slot of each."""
        found = [
            (kind, row, slot)
            for kind in range(len(KINDS))
            for row, slot in enumerate(self.slots[kind])
            if slot in slots and slot != ZERO
        ]
        for kind, row, _ in found:
            self.learn(kind, row, ZERO)
        return found

    def settle(self, others: Iterable[Source]) -> None:
        """All names are read: keep what was learned once for all processes that agree."""
        for kind, learned in enumerate(self.slots):
            if not isinstance(learned, list):
                continue
            # Two at least: an itemgetter of one item gives no tuple.
            slots: Sequence[int] = tuple(learned + [ZERO] * (2 - len(learned)))
            getter: itemgetter[Any] | None = itemgetter(*slots)
            for other in others:
                if other.slots[kind] == slots:
                    slots, getter = other.slots[kind], other.getters[kind]
                    break
            self.slots[kind], self.getters[kind] = slots, getter
            self._counted = None

    def rows(self, slots: Container[int]) -> Iterator[tuple[int, int]]:
        """The slots of these that are counts, and the row of each."""
        for row, slot in enumerate(self.slots[COUNTS]):
            if slot in slots and slot != ZERO:
                yield slot, row

    def learn_exemplars(self, found: list[tuple[int, int, int]]) -> None:
        """Row, slot of the time and room of each that is new. What had a shorter record before
        keeps it as well: it stays the older one."""
        self.exemplar_rows.extend(row for row, _, _ in found)
        times = (time_slot for _, time_slot, _ in found)
        self._exemplar_times = (*self._exemplar_times[:-2], *times, ZERO, ZERO)
        self._exemplar_rooms.extend(room for _, _, room in found)
        self._exemplar_getter = itemgetter(*self._exemplar_times)
        self._seen = None

    # Numbers

    def take(self, unreadable: Callable[[Source], None]) -> None:
        """Copy all numbers, until they are dropped."""
        size = self._needed * 8
        data = self._values(size)
        if len(data) < size:
            whole = data[: len(data) // 8 * 8]
            data = whole + bytes(size - len(whole))
            unreadable(self)
        self.data = data
        self.values = memoryview(data).cast("d")
        self._taken = hash(data)

    def drop(self) -> None:
        self.data = b""
        self.values = ()

    def is_new(self, *, exemplars: bool) -> bool:
        """Whether what was taken has not been counted yet, or its exemplars not seen."""
        return self._taken != self._counted or (exemplars and self._taken != self._seen)

    def count(self, kind: int) -> tuple[float, ...]:
        """What was taken, by row; it ends where this process has no more."""
        self._counted = self._taken
        getter = self.getters[kind]
        return getter(self.values) if getter else ()

    def count_gauges(self) -> None:
        self._gauges = array("d", self.count(GAUGES))

    def gauge(self, row: int) -> float | None:
        """What a gauge was when it was counted, None where this process has no value for it."""
        if not self.slot(GAUGES, row):
            return None
        value = self._gauges[row]
        if value != value and _bits(self._gauges)[row] == UNSET_BITS:  # noqa: PLR0124  NaN
            return None
        return value

    def is_unset(self, kind: int, row: int) -> bool:
        """Whether the slot of a row, of what was taken, says that there is no value."""
        return _bits(self.data)[self.slot(kind, row)] == UNSET_BITS

    def is_damaged(self, kind: int, row: int) -> bool:
        """Whether a number that was taken is one that no counting gives. An infinity and a NaN
        can be counted, as by ``inc(float("nan"))``."""
        bits = _bits(self.data)[self.slot(kind, row)]
        value = self.values[self.slot(kind, row)]
        return value < 0 or (value != value and bits not in NAN_BITS)  # noqa: PLR0124  NaN

    def exemplar_times(self) -> tuple[float, ...]:
        """Of each exemplar of ``exemplar_rows``."""
        self._seen = self._taken
        getter = self._exemplar_getter
        return getter(self.values) if getter else ()

    def exemplar(self, place: int) -> bytes:
        """The record of one of them."""
        start = self._exemplar_times[place] - 1
        stop = start + EXEMPLAR_HEAD + self._exemplar_rooms[place] + 1
        return self.data[start * 8 : stop * 8]

    def _names(self, offset: int) -> bytes:
        raise NotImplementedError

    def _room(self) -> int:
        """How many slots there are."""
        raise NotImplementedError

    def _values(self, size: int) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


def _bits(numbers: bytes | array[float]) -> memoryview:
    return memoryview(numbers).cast("B").cast("Q")


class MemorySource(Source):
    """The values of this process where they are in no file."""

    def __init__(self, store: ValueStore) -> None:
        super().__init__()
        self._store = store

    def _names(self, offset: int) -> bytes:
        with self._store.lock:
            return bytes(self._store.names[offset:])

    def _room(self) -> int:
        return len(self._store.raw) // 8

    def _values(self, size: int) -> bytes:
        return bytes(self._store.raw[:size])


class FileSource(Source):
    """The two files of one process, open for as long as they count: what somebody removes
    meanwhile can still be read. Raises OSError when they cannot be opened.

    ``names`` and ``slots`` are other paths to the same files.
    """

    def __init__(self, path: Path, pid: int, names: str = "", slots: str = "") -> None:
        super().__init__()
        self.path = path
        self.pid = pid
        self.process = str(pid)
        self._names_file = _open(names or f"{path}.names")
        try:
            self._slots_file = _open(slots or f"{path}.slots")
        except OSError:
            os.close(self._names_file)
            raise

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the names and of the slots."""
        return self._names_file, self._slots_file

    def is_there(self) -> bool:
        """Whether both files are still in their folder."""
        return all(
            locks.is_at(Path(f"{self.path}{suffix}"), descriptor)
            for suffix, descriptor in zip((".names", ".slots"), self.descriptors, strict=True)
        )

    def look(self) -> None:
        """See whether the process still runs."""
        self.alive = self.alive and locks.is_held(self._names_file, self.pid)

    def _names(self, offset: int) -> bytes:
        size = os.fstat(self._names_file).st_size
        return os.pread(self._names_file, size - offset, offset) if size > offset else b""

    def _room(self) -> int:
        return os.fstat(self._slots_file).st_size // 8

    def _values(self, size: int) -> bytes:
        return os.pread(self._slots_file, size, 0)

    def close(self) -> None:
        os.close(self._names_file)
        os.close(self._slots_file)


def _open(path: str) -> int:
    """Open a file for reading. Raises OSError where it is none, as a folder or a named pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    return descriptor


class RemainderSource(Source):
    """What processes left that are gone: their series, each with its numbers."""

    lasts = True

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.alive = False
        #: Names of processes whose files are in here, and may still be in the folder.
        self.folded_in_order: list[str] = []
        self.folded: set[str] = set()
        #: Grows each time that the remainder is written.
        self.generation = 0
        self._records = data[len(MAGIC) :]
        with suppress(UnreadableError, TypeError, ValueError, KeyError):
            for _, record in directory.records(self._records):
                self._read_head(record)
                break
        self._kept = array("d", [0.0])
        self._copy = b""
        self._columns: dict[int, tuple[float, ...]] = {}

    def names(self, unreadable: Callable[[Source], None]) -> Iterator[Told]:
        records, self._records = self._records, b""
        try:
            for _, record in directory.records(records):
                if isinstance(record, dict):
                    continue
                *named, numbers = record
                slot, series = directory.series_of([len(self._kept), *named])
                for _, number in zip(range(series.slots), numbers, strict=True):
                    self._kept.append(float(number))
                self._needed = len(self._kept)
                yield slot, series
        except (UnreadableError, TypeError, ValueError, KeyError):
            unreadable(self)

    def _read_head(self, record: Any) -> None:
        self.generation = int(record["generation"])
        self.folded_in_order = list(map(str, record["folded"]))
        self.folded = set(self.folded_in_order)

    def _values(self, size: int) -> bytes:
        # One object as long as it is the same: its hash is computed once.
        if len(self._copy) != size:
            self._copy = self._kept.tobytes()[:size]
        return self._copy

    def count(self, kind: int) -> tuple[float, ...]:
        """Kept, so that the scrape is as quick after deaths."""
        if kind not in self._columns:
            self._columns[kind] = super().count(kind)
        self._counted = self._taken
        return self._columns[kind]


def generation_of(descriptor: int) -> int:
    """How often the remainder was written before an open one, -1 where it cannot be read."""
    with suppress(OSError, UnreadableError, TypeError, ValueError, KeyError):
        # The first record names some processes.
        for _, record in directory.records(os.pread(descriptor, 1 << 16, 0), len(MAGIC)):
            return int(record["generation"])
    return -1


def remainder_bytes(
    folded: list[str], generation: int, series: Iterator[tuple[Series, list[float]]]
) -> bytes:
    """The file that :class:`RemainderSource` reads."""
    parts = [MAGIC, directory.frame({"folded": folded, "generation": generation})]
    parts += [directory.frame([*one, numbers]) for one, numbers in series]
    return b"".join(parts)
