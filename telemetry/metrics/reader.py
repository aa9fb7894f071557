"""Reads the values of all processes of an instance, without a lock that could hold a scrape.

Folding (see ``telemetry.metrics.folding``) puts a dead process' numbers into the remainder and then
removes its files. A reader looks at the remainder's identity before and after: when it changed
meanwhile, it reads again. So a number is seen in exactly one place.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from prometheus_client.metrics_core import Metric

from telemetry.metrics.exemplars import NewestExemplars, parsed
from telemetry.metrics.lines import Lines
from telemetry.metrics.slots import ValueStore
from telemetry.metrics.sources import (
    FileSource,
    MemorySource,
    RemainderSource,
    Source,
    generation_of,
)
from telemetry.metrics.table import Table

logger = logging.getLogger(__name__)

REMAINDER = "remainder"
_FILE = re.compile(r"(process-(\d+)-[0-9a-z]+)(?:-(\d+))?\.names")
_TRIES = 10

Identity = tuple[int, int, int]


def _nobody() -> None:
    """Until somebody connects a counter, or the folding."""


class Reader:
    """Keeps what it parsed: the next look costs only what was added since."""

    def __init__(self, store: ValueStore, folder: Path | None) -> None:
        self.count_unreadable: Callable[[], None] = _nobody
        #: Called when a process is found dead.
        self.fold: Callable[[], None] = _nobody
        self.table = Table(store.series_limit)
        self.table.unreadable = self.unreadable
        self.table.count_dropped = store.count_dropped
        self._newest = NewestExemplars()
        self._lines = Lines(self.table, self._newest)
        self._folder = folder
        self._store = store
        self._files: dict[str, FileSource] = {}
        self._remainder: RemainderSource | None = None
        #: Its descriptor, and what was in the folder when it was looked at last.
        self._held = -1
        self._is_remainder_lost = False
        self._looked_at: Identity | None = None
        self._memory = MemorySource(store)
        # A signal handler may scrape in the middle of a scrape of its thread.
        self._lock = threading.RLock()
        self._reads = False

    def read(
        self, *, openmetrics: bool, exemplar_age: float, leave_out: set[str] | None = None
    ) -> tuple[str, list[Metric]]:
        """The lines of all series, of every process together, and the families with names that
        only prometheus_client's encoders can write."""
        with self._turn() as reader:
            newer_than = time.time() - exemplar_age
            sources = reader._sources()  # noqa: SLF001
            see = functools.partial(reader._newest.see, newer_than=newer_than)  # noqa: SLF001
            reader.table.update(sources, see if openmetrics else None)
            text = reader._lines.text(  # noqa: SLF001
                sources,
                openmetrics=openmetrics,
                newer_than=newer_than,
                leave_out=leave_out or set(),
            )
            return text, list(reader.table.quoted(sources))

    def metrics(self, *, exemplar_age: float) -> list[Metric]:
        """The same as prometheus_client's collectors give it."""
        with self._turn() as reader:
            newest = reader._newest  # noqa: SLF001
            newer_than = time.time() - exemplar_age
            sources = reader._sources()  # noqa: SLF001
            reader.table.update(sources, functools.partial(newest.see, newer_than=newer_than))
            newest.take()
            newest.forget(newer_than)
            exemplars = {row: parsed(text) for row, text in newest.texts.items()}
            return list(reader.table.metrics(sources, exemplars))

    @contextmanager
    def _turn(self) -> Iterator[Reader]:
        """This reader, or another one where a signal handler reads in the middle of a reading."""
        with self._lock:
            if self._reads:
                other = Reader(self._store, self._folder)
                try:
                    yield other
                finally:
                    other.close()
                return
            self._reads = True
            try:
                yield self
            finally:
                self._reads = False

    @property
    def shown(self) -> set[str]:
        """Names of the families in the last text."""
        return self._lines.shown

    def _sources(self) -> list[Source]:
        """Read what names are new, and give the sources that count now.

        Their numbers may be read later: a process that ended meanwhile has the same in its files,
        which are open here, and the remainder that is here is the one without them.
        """
        if self._folder is None:
            self._read(self._memory)
            return [self._memory]
        folded = False
        for _ in range(_TRIES):
            identity = self._load_remainder()
            self._find_files(self._folder)
            if not folded and not all(source.alive for source in self._files.values()):
                folded = True
                self.fold()
                continue
            sources: list[Source] = list(self._files.values())
            for source in sources:
                self._read(source)
            if identity_of(self._folder / REMAINDER) == identity:
                break
        if self._remainder is not None:
            self._read(self._remainder)
            sources.append(self._remainder)
        own = self._store.path
        if own is None or f"{own.name}.names" not in self._files:
            # This process could not make its files: its numbers are seen when it answers itself.
            self._read(self._memory)
            sources.append(self._memory)
        return sources

    def discover(self) -> None:
        """Open what is new, so that it can still be read when somebody removes it."""
        with self._turn() as reader:
            if reader is self and self._folder is not None:
                self._load_remainder()
                self._find_files(self._folder)

    def folded(self) -> set[str]:
        """Names of files whose numbers are in the remainder, as far as it tells."""
        with self._lock:
            self._load_remainder()
            return self._remainder.folded if self._remainder else set()

    def lost(self) -> tuple[list[FileSource], int]:
        """What was removed from the folder and nobody writes again: the files of processes that
        ended, and the remainder's descriptor, -1 where the folder has it."""
        with self._lock:
            gone = [
                source
                for source in self._files.values()
                if not source.alive and not source.is_there()
            ]
            return gone, self._held if self._is_remainder_lost else -1

    def adopt(self, source: FileSource) -> None:
        """Read these files too; one that is open already is closed."""
        name = f"{source.path.name}.names"
        with self._lock:
            if name in self._files:
                source.close()
            else:
                self._files[name] = source

    def _read(self, source: Source) -> None:
        self.table.learn(source, source.names(self.unreadable), self._files.values())

    def _load_remainder(self) -> Identity | None:
        """Read the newest remainder, unless it was read already; gives what the folder has.

        One that was removed from the folder, or written again by who knew less, is kept.
        """
        if self._folder is None:
            return None
        path = self._folder / REMAINDER
        identity = identity_of(path)
        if identity == self._looked_at:
            return identity
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._looked_at = None
            self._is_remainder_lost = self._held >= 0
            return identity
        self._looked_at = identity
        if self._held >= 0 and generation_of(descriptor) < generation_of(self._held):
            os.close(descriptor)
            self._is_remainder_lost = True
            return identity
        if self._held >= 0:
            os.close(self._held)
        self._held = descriptor
        self._is_remainder_lost = False
        self._remainder = RemainderSource(_content(descriptor))
        return identity

    def _find_files(self, folder: Path) -> None:
        folded = self._remainder.folded if self._remainder else set()
        listed = process_files(folder)
        newest: dict[str, int] = {}
        for file in (*listed.values(), *map(parse_name, self._files)):
            newest[file.process] = max(file.generation, newest.get(file.process, 0))
        found = set()
        for name, file in listed.items():
            if name in folded or file.generation < newest[file.process]:
                continue
            found.add(name)
            if name not in self._files:
                try:
                    path = folder / name.removesuffix(".names")
                    self._files[name] = FileSource(path, file.pid)
                except OSError:
                    # Folded meanwhile; or somebody took a file away, which its process finds.
                    found.discard(name)
        own = self._store.path
        for source in self._files.values():
            if source.path != own:
                source.look()
        for name in self._files.keys() - found:
            file = parse_name(name)
            # Another one was removed by somebody: its process writes it again, or who folds it.
            if name in folded or file.generation < newest[file.process] or name in listed:
                self._files.pop(name).close()

    def unreadable(self, source: Source) -> None:
        """Part of a file cannot be read: told and counted once for each file."""
        if source.damaged:
            return
        source.damaged = True
        self.count_unreadable()
        logger.warning(
            "part of the metrics in %s cannot be read and is left out",
            getattr(source, "path", self._folder),
        )

    def close(self) -> None:
        for source in self._files.values():
            source.close()
        self._files.clear()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def identity_of(path: Path) -> Identity | None:
    """What changes whenever the file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class ProcessFile(NamedTuple):
    """What the name of a process' file says."""

    pid: int
    #: The name without what follows; no other process ever has it.
    process: str
    #: How often the process has written its files again.
    generation: int


def parse_name(name: str) -> ProcessFile:
    """The parts of a name that ``process_files`` gave."""
    named = _FILE.fullmatch(name)
    if named is None:
        raise ValueError(name)
    return ProcessFile(int(named[2]), named[1], int(named[3] or 0))


def process_files(folder: Path, suffix: str = ".names") -> dict[str, ProcessFile]:
    """Names of the processes' name files, and what they say; none in no folder.

    With another suffix the processes that have such a file.
    """
    found: dict[str, ProcessFile] = {}
    try:
        names = os.listdir(folder)  # noqa: PTH208  quicker
    except OSError:
        return found
    for name in names:
        if name.endswith(suffix):
            wanted = name.removesuffix(suffix) + ".names"
            if _FILE.fullmatch(wanted):
                found[wanted] = parse_name(wanted)
    return found


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)
