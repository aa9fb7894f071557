"""Where a scrape reads numbers: this process' memory, the files of others, what the dead left.

Files of others are copied by ``pread`` and never mapped: a file that somebody cut short would
kill the reader of a mapping.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

from telemetry import processes
from telemetry.metrics import directory
from telemetry.metrics.directory import MAGIC, Exemplars, Series, UnreadableError
from telemetry.metrics.slots import EXEMPLAR_HEAD, ZERO, ValueStore

#: What a record of names tells.
Told = tuple[int, Series] | Exemplars


class Source:
    """Numbers by slot, and which row of the table each slot is."""

    def __init__(self) -> None:
        self.values = array("d", [0.0])
        self.data = b""
        #: Row of the table to slot, and slot to row.
        self.slots: dict[int, int] = {}
        self.rows: dict[int, int] = {}
        self.exemplars: dict[int, Exemplars] = {}
        self.exemplar_times: dict[int, float] = {}
        self.getter: itemgetter[Any] | None = None
        #: What the getter gave, None when the numbers changed since.
        self.column: tuple[float, ...] | None = None
        #: The process id as the label ``pid`` tells it, nothing in a single process.
        self.process = ""
        self.alive = True
        self.damaged = False
        self._read_names = len(MAGIC)
        self._names_end = False
        self._needed = ZERO + 1

    def read(self, unreadable: Callable[[Source], None]) -> Iterator[Told]:
        """Read what is new: the names that were added, and then all numbers."""
        fresh = b"" if self._names_end else self._names(self._read_names)
        offset = 0
        try:
            for behind, record in directory.records(fresh):
                offset = behind
                if len(record) == len(Exemplars._fields):
                    place = directory.exemplars_of(record)
                    self._needed = max(self._needed, place.slot + EXEMPLAR_HEAD + place.room + 1)
                    yield place
                else:
                    slot, series = directory.series_of(record)
                    self._needed = max(self._needed, slot + series.slots)
                    yield slot, series
        except (UnreadableError, TypeError):
            # Nothing behind a damaged record can be found: the file is left at that.
            self._names_end = True
            unreadable(self)
        else:
            self._read_names += offset
        self._read_values(unreadable)

    def _read_values(self, unreadable: Callable[[Source], None]) -> None:
        data = self._values(self._needed * 8)
        if data == self.data:
            return
        self.data = data
        self.column = None
        self.values = array("d", data[: len(data) // 8 * 8])
        if len(self.values) < self._needed:
            self.values.extend([0.0] * (self._needed - len(self.values)))
            unreadable(self)

    def exemplar(self, place: Exemplars) -> tuple[float, float, str] | None:
        """Time, value and labels; None while it is being written."""
        values = self.values
        length = int(values[place.slot + 3])
        written = values[place.slot]
        if not written or written != values[place.slot + EXEMPLAR_HEAD + place.room]:
            return None
        if not 0 <= length <= place.room * 8:
            return None
        start = (place.slot + EXEMPLAR_HEAD) * 8
        labels = self.data[start : start + length].decode(errors="replace")
        return values[place.slot + 1], values[place.slot + 2], labels

    def _names(self, offset: int) -> bytes:
        raise NotImplementedError

    def _values(self, size: int) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class MemorySource(Source):
    """The values of this process where they are in no file."""

    def __init__(self, store: ValueStore) -> None:
        super().__init__()
        self._store = store

    def _names(self, offset: int) -> bytes:
        with self._store.lock:
            return bytes(self._store.names[offset:])

    def _values(self, size: int) -> bytes:
        return bytes(self._store.raw[:size])


class FileSource(Source):
    """The two files of one process. Raises OSError when they cannot be opened."""

    def __init__(self, path: Path, pid: int, ticks: int) -> None:
        super().__init__()
        self.path = path
        self.pid = pid
        self.ticks = ticks
        self.process = str(pid)
        self._names_file = os.open(f"{path}.names", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._slots_file = os.open(f"{path}.slots", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            os.close(self._names_file)
            raise

    def look(self) -> None:
        """See whether the process still runs."""
        self.alive = self.alive and processes.is_same(self.pid, self.ticks)

    def _names(self, offset: int) -> bytes:
        size = os.fstat(self._names_file).st_size
        return os.pread(self._names_file, size - offset, offset) if size > offset else b""

    def _values(self, size: int) -> bytes:
        return os.pread(self._slots_file, size, 0)

    def close(self) -> None:
        os.close(self._names_file)
        os.close(self._slots_file)


class RemainderSource(Source):
    """What processes left that are gone: their series, each with its numbers."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.alive = False
        #: Names of processes whose files are in here, and may still be in the folder.
        self.folded: set[str] = set()
        self._records = data[len(MAGIC) :]

    def read(self, unreadable: Callable[[Source], None]) -> Iterator[Told]:
        records, self._records = self._records, b""
        try:
            for _, record in directory.records(records):
                if isinstance(record, dict):
                    self.folded = set(record["folded"])
                    continue
                *named, numbers = record
                slot, series = directory.series_of([len(self.values), *named])
                self.values.extend(map(float, numbers))
                yield slot, series
        except (UnreadableError, TypeError, ValueError, KeyError):
            unreadable(self)


def remainder_bytes(folded: set[str], series: Iterator[tuple[Series, list[float]]]) -> bytes:
    """The file that :class:`RemainderSource` reads."""
    parts = [MAGIC, directory.frame({"folded": sorted(folded)})]
    parts += [directory.frame([*one, numbers]) for one, numbers in series]
    return b"".join(parts)
