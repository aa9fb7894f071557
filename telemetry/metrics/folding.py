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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from telemetry import processes
from telemetry.metrics import locks
from telemetry.metrics.directory import READABLE
from telemetry.metrics.reader import REMAINDER, ProcessFile, process_files
from telemetry.metrics.slots import ValueStore
from telemetry.metrics.sources import (
    FileSource,
    RemainderSource,
    Source,
    generation_of,
    remainder_bytes,
)
from telemetry.metrics.table import Table

logger = logging.getLogger(__name__)

_NEW = "remainder.new"
#: Files folded in one go, so that memory does not grow with the number of the dead.
_AT_ONCE = 8
#: Names of folded processes that a remainder keeps, for readers that still have their files open.
_MOST_NAMES = 500

_complained = False


def step(name: str) -> None:
    """Called between the steps; a test ends the process here."""


def fold(
    folder: Path, store: ValueStore, gone: Sequence[FileSource] = (), remainder: int = -1
) -> None:
    """Fold every dead process of the instance. Never raises: what fails is tried again later.

    ``gone`` are processes that ended and whose files somebody removed, ``remainder`` is an open one
    that the folder has not got any more: see ``Reader.lost``.
    """
    global _complained
    files = process_files(folder)
    if not gone and remainder < 0 and not _dead(folder, files):
        return
    try:
        with _alone(folder / "fold.lock") as alone:
            if alone and remainder >= 0:
                _bring_back(folder, remainder)
            while alone and _fold_some(folder, store, gone):
                gone = ()
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


def _bring_back(folder: Path, remainder: int) -> None:
    """Write a remainder that was removed, unless the folder has one of somebody who knew more."""
    with suppress(FileNotFoundError):
        found = os.open(folder / REMAINDER, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if generation_of(found) >= generation_of(remainder):
                return
        finally:
            os.close(found)
    _write(folder, os.pread(remainder, os.fstat(remainder).st_size, 0))
    (folder / _NEW).replace(folder / REMAINDER)


def _dead(folder: Path, files: dict[str, ProcessFile]) -> list[str]:
    """Names of the files of processes that ended, those included that were written again since."""
    newest: dict[str, str] = {}
    for name, file in files.items():
        other = newest.get(file.process)
        if other is None or file.generation > files[other].generation:
            newest[file.process] = name
    ended = {
        process
        for process, name in newest.items()
        if not locks.is_held_at(folder / name, files[name].pid)
    }
    return [name for name, file in files.items() if file.process in ended]


def _fold_some(folder: Path, store: ValueStore, gone: Sequence[FileSource]) -> bool:
    """Fold some of the dead; False when there are none."""
    table = Table(store.series_limit)
    sources: list[Source] = []
    folded: list[str] = []
    generation = 0
    with suppress(FileNotFoundError):
        remainder = RemainderSource((folder / REMAINDER).read_bytes())
        _read(table, remainder)
        sources.append(remainder)
        folded, generation = remainder.folded_in_order, remainder.generation
    files = process_files(folder)
    for name in (set(folded) & files.keys()) | _halves(folder, files.keys()):
        _remove(folder, name)
    dead = _some(_dead(folder, files), files)
    opened = []
    for name in _last(dead, files):
        with suppress(OSError):
            opened.append(FileSource(folder / name.removesuffix(".names"), files[name].pid))
    there = {one.path.name for one in opened}
    missing = [
        one for one in gone if one.path.name not in there and f"{one.path.name}.names" not in folded
    ]
    if not dead and not missing:
        return False
    for source in opened + [_again(one) for one in missing]:
        source.alive = False
        _read(table, source)
        sources.append(source)
    table.update(sources)
    step("read")
    folded = [*folded, *dead, *(f"{one.path.name}.names" for one in missing)][-_MOST_NAMES:]
    written = remainder_bytes(
        folded, generation + 1, chain(table.sums(), table.kept_gauges(sources))
    )
    for one in sources:
        one.close()
    _write(folder, written)
    step("written")
    (folder / _NEW).replace(folder / REMAINDER)
    step("renamed")
    for name in dead:
        _remove(folder, name)
    step("removed")
    return True


def _some(dead: list[str], files: dict[str, ProcessFile]) -> list[str]:
    """All files of the first processes."""
    some = sorted({files[name].process for name in dead})[:_AT_ONCE]
    return [name for name in dead if files[name].process in some]


def _last(dead: list[str], files: dict[str, ProcessFile]) -> list[str]:
    """Of a process that wrote its files again, the last ones: they have all its numbers."""
    last = {files[name].process: name for name in sorted(dead, key=lambda name: files[name])}
    return list(last.values())


def _again(source: FileSource) -> FileSource:
    """A source of its own for files that are open already."""
    names, slots = source.descriptors
    return FileSource(source.path, source.pid, f"/proc/self/fd/{names}", f"/proc/self/fd/{slots}")


def _write(folder: Path, written: bytes) -> None:
    with (folder / _NEW).open("wb") as file:
        os.fchmod(file.fileno(), READABLE)
        file.write(written[: len(written) // 2])
        file.flush()
        step("half written")
        file.write(written[len(written) // 2 :])


def _halves(folder: Path, whole: Iterable[str]) -> set[str]:
    """Processes that were killed before they let others find their files."""
    return {
        name
        for name, file in process_files(folder, ".slots").items()
        if name not in whole and not processes.alive(file.pid)
    }


def _read(table: Table, source: Source) -> None:
    table.learn(source, source.names(lambda _source: None))


def _remove(folder: Path, name: str) -> None:
    """The slots first: a reader finds a process by its names."""
    slots = folder / (name.removesuffix(".names") + ".slots")
    for path in (slots, folder / name, locks.unfinished(folder / name)):
        path.unlink(missing_ok=True)
        step("one removed")
