"""Locks on files that prove that a process lives, whether or not anybody can see it.

A lock of flock(2) is gone when its process is, by exit or by ``kill -9``, also where ``/proc`` does
not show the process: it has another user (``hidepid``), or is in another container with process ids
of its own and the same folder. A process that was forked closes what it inherited, so that it does
not hold the lock of its parent.

Without a lock on it nobody may find such a file, or a process that has just begun would be taken
for one that has ended: it is made under another name, locked, and renamed.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from telemetry import processes
from telemetry.metrics.directory import READABLE

Identity = tuple[int, int]

#: Before the name of what is not locked yet.
UNFINISHED = "new-"


def begin(path: Path) -> int:
    """Make the file that ``finish`` will put at ``path``, with a lock on it. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(unfinished(path), flags, 0o600)
    try:
        os.fchmod(descriptor, READABLE)
        # Where there are no locks, as on some network file systems, process ids have to do.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def finish(path: Path) -> None:
    """Let others find the file. Raises OSError."""
    unfinished(path).replace(path)


def unfinished(path: Path) -> Path:
    return path.with_name(UNFINISHED + path.name)


def is_held(descriptor: int, pid: int) -> bool:
    """Whether the process that made a file still lives; ``pid`` counts where there are no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return processes.alive(pid)
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def is_held_at(path: Path, pid: int) -> bool:
    """The same of a file by its path; one that is gone is held by nobody."""
    try:
        # A named pipe would be waited for until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return processes.alive(pid)
    try:
        return is_held(descriptor, pid)
    finally:
        os.close(descriptor)


def identity(descriptor: int) -> Identity | None:
    """Device and inode of an open file, None where it is not open."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_at(path: Path, descriptor: int) -> bool:
    """Whether the file at ``path`` is the one that is open."""
    try:
        found = path.stat()
    except OSError:
        return False
    return identity(descriptor) == (found.st_dev, found.st_ino)
