"""What a process leaves when it is gone: its numbers are added to a remainder, once and exactly.

The steps, each of which may be the last of a process that is killed:

1. write ``remainder.new``: the old remainder with the dead processes' numbers, and their names;
2. rename it to ``remainder``: from this moment on the numbers count there, and readers leave out
   the files that it names;
3. remove the files. Whoever comes next removes those that were left, by the names in it.

A lock on a file keeps two processes from doing so at once; who does not get it goes on without.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from telemetry import processes
from telemetry.metrics.directory import READABLE
from telemetry.metrics.reader import REMAINDER, process_files
from telemetry.metrics.slots import ValueStore
from telemetry.metrics.sources import FileSource, RemainderSource, Source, remainder_bytes
from telemetry.metrics.table import Table

logger = logging.getLogger(__name__)

_NEW = "remainder.new"
#: Files folded in one go, so that memory does not grow with the number of the dead.
_AT_ONCE = 8

_complained = False


def step(name: str) -> None:
    """Called between the steps; a test ends the process here."""


def fold(folder: Path, store: ValueStore) -> None:
    """Fold every dead process of the instance. Never raises: what fails is tried again later."""
    global _complained
    files = process_files(folder)
    if all(processes.is_same(*who) for who in files.values()):
        return
    try:
        with _alone(folder / "fold.lock") as alone:
            while alone and _fold_some(folder, store):
                pass
    except OSError as error:
        if not _complained:
            _complained = True
            logger.warning(
                "values of ended processes stay in their own files for now (%s)",
                error.strerror or error,
            )


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def open_lock(path: Path) -> int:
    """A file to lock; the caller closes it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, READABLE)
    with suppress(PermissionError):
        # Somebody else's has its mode already.
        os.fchmod(descriptor, READABLE)
    return descriptor


def _fold_some(folder: Path, store: ValueStore) -> bool:
    """Fold some of the dead; False when there are none."""
    table = Table(store.series_limit)
    sources: list[Source] = []
    folded: set[str] = set()
    with suppress(FileNotFoundError):
        remainder = RemainderSource((folder / REMAINDER).read_bytes())
        _read(table, remainder)
        sources.append(remainder)
        folded = remainder.folded
    files = process_files(folder)
    for name in (folded & files.keys()) | _halves(folder, files.keys()):
        _remove(folder, name)
    dead = [
        name for name, who in files.items() if name not in folded and not processes.is_same(*who)
    ][:_AT_ONCE]
    if not dead:
        return False
    opened = []
    for name in dead:
        with suppress(OSError):
            source = FileSource(folder / name.removesuffix(".names"), *files[name])
            source.alive = False
            opened.append(source)
            _read(table, source)
    sources += opened
    table.update(sources)
    step("read")
    written = remainder_bytes(set(dead), chain(table.sums(), table.kept_gauges(sources)))
    for source in opened:
        source.close()
    with (folder / _NEW).open("wb") as file:
        os.fchmod(file.fileno(), READABLE)
        file.write(written[: len(written) // 2])
        file.flush()
        step("half written")
        file.write(written[len(written) // 2 :])
    step("written")
    (folder / _NEW).replace(folder / REMAINDER)
    step("renamed")
    for name in dead:
        _remove(folder, name)
    step("removed")
    return True


def _halves(folder: Path, whole: Iterable[str]) -> set[str]:
    """Processes that were killed before they wrote the first of their names."""
    return {
        name
        for name, who in process_files(folder, ".slots").items()
        if name not in whole and not processes.is_same(*who)
    }


def _read(table: Table, source: Source) -> None:
    table.learn(source, source.names(lambda _source: None))


def _remove(folder: Path, name: str) -> None:
    """The slots first: a reader finds a process by its names."""
    for path in (folder / (name.removesuffix(".names") + ".slots"), folder / name):
        path.unlink(missing_ok=True)
        step("one removed")
