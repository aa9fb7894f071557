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
from collections.abc import Callable
from pathlib import Path

from prometheus_client.metrics_core import Metric

from telemetry.metrics.exemplars import NewestExemplars, parsed
from telemetry.metrics.lines import Lines
from telemetry.metrics.slots import ValueStore
from telemetry.metrics.sources import FileSource, MemorySource, RemainderSource, Source
from telemetry.metrics.table import Table

logger = logging.getLogger(__name__)

REMAINDER = "remainder"
_FILE = re.compile(r"process-(\d+)-(\d+)\.names")
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
        self._identity: Identity | None = None
        self._memory = MemorySource(store)
        self._lock = threading.Lock()

    def read(
        self, *, openmetrics: bool, exemplar_age: float, leave_out: set[str] | None = None
    ) -> tuple[str, list[Metric]]:
        """The lines of all series, of every process together, and the families with names that
        only prometheus_client's encoders can write."""
        with self._lock:
            newer_than = time.time() - exemplar_age
            sources = self._sources()
            see = functools.partial(self._newest.see, newer_than=newer_than)
            self.table.update(sources, see if openmetrics else None)
            text = self._lines.text(
                sources,
                openmetrics=openmetrics,
                newer_than=newer_than,
                leave_out=leave_out or set(),
            )
            return text, list(self.table.quoted(sources))

    def metrics(self, *, exemplar_age: float) -> list[Metric]:
        """The same as prometheus_client's collectors give it."""
        with self._lock:
            newer_than = time.time() - exemplar_age
            sources = self._sources()
            self.table.update(sources, functools.partial(self._newest.see, newer_than=newer_than))
            self._newest.take()
            self._newest.forget(newer_than)
            exemplars = {row: parsed(text) for row, text in self._newest.texts.items()}
            return list(self.table.metrics(sources, exemplars))

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
            identity = identity_of(self._folder / REMAINDER)
            if identity != self._identity:
                self._load_remainder()
                self._identity = identity
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
            sources.append(self._remainder)
        own = self._store.path
        if own is None or f"{own.name}.names" not in self._files:
            # This process could not make its files, or somebody took them away (a cleaner of
            # temporary folders): its numbers are seen when it answers itself.
            self._read(self._memory)
            sources.append(self._memory)
        return sources

    def _read(self, source: Source) -> None:
        self.table.learn(source, source.names(self.unreadable), self._files.values())

    def _load_remainder(self) -> None:
        if self._folder is None:
            return
        try:
            data = (self._folder / REMAINDER).read_bytes()
        except FileNotFoundError:
            self._remainder = None
            return
        self._remainder = RemainderSource(data)
        self._read(self._remainder)

    def _find_files(self, folder: Path) -> None:
        folded = self._remainder.folded if self._remainder else set()
        found = set()
        for name, (pid, ticks) in process_files(folder).items():
            if name in folded:
                continue
            found.add(name)
            if name not in self._files:
                try:
                    path = folder / name.removesuffix(".names")
                    self._files[name] = FileSource(path, pid, ticks)
                except OSError:
                    # Folded meanwhile; or somebody took a file away, which is found when it
                    # comes to folding.
                    found.discard(name)
        for name in self._files.keys() - found:
            self._files.pop(name).close()
        own = self._store.path
        for source in self._files.values():
            if source.path != own:
                source.look()

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


def identity_of(path: Path) -> Identity | None:
    """What changes whenever the file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def process_files(folder: Path, suffix: str = ".names") -> dict[str, tuple[int, int]]:
    """Names of the processes' name files, with process id and start ticks; none in no folder.

    With another suffix the processes that have such a file.
    """
    found: dict[str, tuple[int, int]] = {}
    try:
        names = os.listdir(folder)  # noqa: PTH208  quicker
    except OSError:
        return found
    for name in names:
        if named := _FILE.fullmatch(name.removesuffix(suffix) + ".names"):
            found[named.group()] = (int(named.group(1)), int(named.group(2)))
    return found
