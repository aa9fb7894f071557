"""Where a scrape reads numbers: this process' memory, the files of others, what the dead left.

Files of others are copied by ``pread`` and never mapped: a file that somebody cut short would
kill the reader of a mapping.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import itemgetter
from pathlib import Path
from typing import Any

from telemetry import processes
from telemetry.metrics import directory
from telemetry.metrics.directory import MAGIC, Exemplars, Series, UnreadableError
from telemetry.metrics.slots import EXEMPLAR_HEAD, ZERO, ValueStore
from telemetry.metrics.text import number

#: What a record of names tells.
Told = tuple[int, Series] | Exemplars
#: Labels of an exemplar, as they are written between the braces.
_LABELS = re.compile(r'(?:(?:\A|,)[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*")*\Z', re.ASCII)
#: The year 5138: later is damage.
_LATEST = 1e11


class Source:
    """Numbers by slot, and which row of the table each slot is."""

    def __init__(self) -> None:
        self.values: Sequence[float] = array("d", [0.0])
        self.data = b""
        #: Row of the table to slot, and slot to row.
        self.slots: dict[int, int] = {}
        self.rows: dict[int, int] = {}
        self._exemplars: dict[int, Exemplars] = {}
        #: Brings their times, which are then compared with the last ones.
        self._exemplar_getter: itemgetter[Any] | None = None
        self._exemplar_times: tuple[float, ...] = ()
        self._exemplars_of = b""
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
        if len(data) < self._needed * 8:
            whole = data[: len(data) // 8 * 8]
            data = whole + bytes(self._needed * 8 - len(whole))
            unreadable(self)
        self.data = data
        self.column = None
        self.values = memoryview(data).cast("d")

    def keep_exemplars(self, row: int, place: Exemplars) -> None:
        """Learn where the exemplars of a row stand."""
        self._exemplars[row] = place
        self._exemplar_getter = None

    def new_exemplars(self) -> Iterator[tuple[int, Exemplars, float]]:
        """Row, place and time of those that were written since the last call."""
        if not self._exemplars or self._exemplars_of is self.data:
            return
        if self._exemplar_getter is None:
            slots = [place.slot + 1 for place in self._exemplars.values()]
            self._exemplar_getter = itemgetter(*slots, ZERO, ZERO)
            self._exemplar_times = (0.0,) * len(slots)
        before = self._exemplar_times
        self._exemplar_times = times = self._exemplar_getter(self.values)
        self._exemplars_of = self.data
        for (row, place), time, known in zip(self._exemplars.items(), times, before, strict=False):
            if time != known:
                yield row, place, time

    def exemplar(self, place: Exemplars) -> str | None:
        """An exemplar as OpenMetrics writes it behind a value; None while it is being written, and
        for one that is damaged."""
        values = self.values
        written, time, value, length = values[place.slot : place.slot + EXEMPLAR_HEAD]
        if not written or written != values[place.slot + EXEMPLAR_HEAD + place.room]:
            # It is looked at again, also where its time stays the same.
            self._exemplar_getter = None
            return None
        if not 0 <= length <= place.room * 8 or not 0 < time < _LATEST:
            return None
        start = (place.slot + EXEMPLAR_HEAD) * 8
        labels = self.data[start : start + int(length)].decode(errors="replace")
        if not _LABELS.match(labels):
            return None
        shown = repr(value) if -inf < value < inf else number(value)
        return f" # {{{labels}}} {shown} {time:.3f}"

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
        self._kept = array("d", [0.0])
        self.values = self._kept

    def read(self, unreadable: Callable[[Source], None]) -> Iterator[Told]:
        records, self._records = self._records, b""
        try:
            for _, record in directory.records(records):
                if isinstance(record, dict):
                    self.folded = set(record["folded"])
                    continue
                *named, numbers = record
                slot, series = directory.series_of([len(self._kept), *named])
                self._kept.extend(map(float, numbers))
                yield slot, series
        except (UnreadableError, TypeError, ValueError, KeyError):
            unreadable(self)


def remainder_bytes(folded: set[str], series: Iterator[tuple[Series, list[float]]]) -> bytes:
    """The file that :class:`RemainderSource` reads."""
    parts = [MAGIC, directory.frame({"folded": sorted(folded)})]
    parts += [directory.frame([*one, numbers]) for one, numbers in series]
    return b"".join(parts)
