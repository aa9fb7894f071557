"""Where the values of metrics live: in memory, or in files that all workers of an instance share.

One instance is one master process and its children. Its folder is named by the master's process
id and start time, so a new start never finds old values, and the folder of a dead master is
recognised and removed. A process that stands alone needs no folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import prometheus_client
from prometheus_client.registry import REGISTRY

from telemetry import processes
from telemetry.environment import WrongEnvironmentError
from telemetry.metrics import folding, values
from telemetry.metrics.reader import Reader
from telemetry.metrics.slots import store
from telemetry.settings import PROMETHEUS_MULTIPROC_DIR

logger = logging.getLogger(__name__)

_FOLDER_NAME = re.compile(r"instance-(\d+)-(\d+)")
_ALIVE = "alive"
_WORKER_NAME = re.compile(r"worker-(\d+)-(\d+)")


class Instance:
    """The store of this process: shared with other workers in ``folder``, or its own (None)."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        #: Process id of the master, or of this process where it stands alone.
        self.master = os.getpid()
        self._lock_file: int | None = None
        #: Keeps the folder from being taken for a dead one's.
        self._alive_file: int | None = None
        self._reader: Reader | None = None

    def _own_path(self, folder: Path) -> Path:
        pid = os.getpid()
        return folder / f"process-{pid}-{processes.start_ticks(pid)}"

    def share(self, master: int) -> None:
        """Keep values in files shared by the children of ``master``.

        What was counted before moves there. Calling it again for the same master changes nothing.
        """
        if self.folder is not None and self.master == master:
            return
        parent = parent_folder()
        folder = parent / f"instance-{master}-{processes.start_ticks(master)}"
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_dead(parent)
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise WrongEnvironmentError(
                PROMETHEUS_MULTIPROC_DIR.name,
                f"must name a folder that can be written: {error.strerror}: {parent}",
            ) from None
        owner = folder.lstat()
        if owner.st_uid != os.getuid() or not stat.S_ISDIR(owner.st_mode):
            # The folder for temporary files is everybody's: somebody may have laid a trap there.
            raise WrongEnvironmentError(
                PROMETHEUS_MULTIPROC_DIR.name, f"must name a folder of one's own, not {folder}"
            )
        self.master = master
        self.folder = folder
        self._reader = None
        self._hold(folder)
        store.open(self._own_path(folder))
        store.tell()

    def _hold(self, folder: Path) -> None:
        """Hold a lock that all processes of the instance share, as forked children do by birth."""
        if self._alive_file is not None:
            os.close(self._alive_file)
            self._alive_file = None
        with suppress(OSError):
            self._alive_file = folding.open_lock(folder / _ALIVE)
            fcntl.flock(self._alive_file, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def give_to(self, user: int, group: int) -> None:
        """Let workers that give up root's rights share the folder of their master."""
        if self.folder is None or os.geteuid() != 0 or user == 0:
            return
        try:
            os.chown(self.folder, user, group)
            parent = self.folder.parent
            parent.chmod(parent.stat().st_mode | 0o011)
            closed = [path for path in parent.parents if not _enters(user, group, path)]
        except OSError as error:
            logger.warning("workers cannot share their metrics in %s (%s)", self.folder, error)
            return
        if closed:
            logger.warning(
                "workers cannot share their metrics in %s: their user may not enter %s; "
                "PROMETHEUS_MULTIPROC_DIR names another folder",
                self.folder,
                closed[-1],
            )

    def add_worker(self) -> None:
        """Count this process among those that answer requests."""
        if self.folder is not None:
            # A worker that is not counted serves all the same.
            with suppress(OSError):
                pid = os.getpid()
                (self.folder / f"worker-{pid}-{processes.start_ticks(pid)}").touch()

    def remove_worker(self) -> None:
        """This process ends because it was asked to, and is no worker any more."""
        if self.folder is not None:
            pid = os.getpid()
            with suppress(OSError):
                (self.folder / f"worker-{pid}-{processes.start_ticks(pid)}").unlink()

    def workers(self) -> list[int]:
        """Process ids of the living workers."""
        if self.folder is None:
            return [os.getpid()]
        found = []
        with suppress(OSError):
            for name in os.listdir(self.folder):  # noqa: PTH208  quicker
                if named := _WORKER_NAME.fullmatch(name):
                    pid, ticks = int(named.group(1)), int(named.group(2))
                    if processes.is_same(pid, ticks):
                        found.append(pid)
                    else:
                        _forget_crashed(self.folder / name)
        return sorted(found)

    def lead(self) -> bool:
        """Whether this process is the one that does what only one may do.

        The first worker to ask holds a lock on a file until it dies; then another gets it.
        """
        if self.folder is None or self._lock_file is not None:
            return True
        descriptor = folding.open_lock(self.folder / "leader")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock_file = descriptor
        return True

    def begin_in_child(self) -> None:
        """After a fork: what belongs to the parent (its lock, its files) is left to it."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self.folder is None:
            self.master = os.getpid()
        store.begin_in_child(None if self.folder is None else self._own_path(self.folder))

    def keep_up(self) -> None:
        """Write what found no room before: names, and the files of a worker that began without."""
        if self.folder is not None and store.path is None:
            store.open(self._own_path(self.folder))
        store.write_names()
        store.tell()

    def reader(self) -> Reader:
        """What reads the values of all processes."""
        if self._reader is None:
            self._reader = Reader(store, self.folder)
            self._reader.count_unreadable = count_unreadable
            self._reader.fold = self.fold
        return self._reader

    def fold(self) -> None:
        """Add up what ended processes left."""
        if self.folder is not None:
            folding.fold(self.folder, store)

    def remove(self) -> None:
        """Remove the shared folder; the master calls this when it ends."""
        if self.folder is not None and self.master == os.getpid():
            shutil.rmtree(self.folder, ignore_errors=True)


def _forget_crashed(worker: Path) -> None:
    """A worker is gone that did not remove its file: of all who notice, one counts it."""
    try:
        worker.unlink()
    except FileNotFoundError:
        return
    from telemetry.metrics.definitions import PROCESS_WORKER_CRASHES

    PROCESS_WORKER_CRASHES.child().inc()


def _enters(user: int, group: int, folder: Path) -> bool:
    found = folder.stat()
    if found.st_uid == user:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH))


def parent_folder() -> Path:
    """Where instances keep their folders, also when the variable was inherited from one."""
    named = PROMETHEUS_MULTIPROC_DIR.read()
    if not named:
        return Path(tempfile.gettempdir()) / f"telemetry-metrics-{os.getuid()}"
    folder = Path(named)
    return folder.parent if _FOLDER_NAME.fullmatch(folder.name) else folder


def remove_dead(parent: Path) -> None:
    """Remove the folders of instances whose master is gone."""
    for folder in _instances(parent):
        named = _FOLDER_NAME.fullmatch(folder.name)
        if named is None:
            continue
        master, ticks = int(named.group(1)), int(named.group(2))
        if processes.start_ticks(master) != ticks and not _is_held(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    """Whether a process of the instance lives: its master may be out of sight, in another container
    that has the same folder and process ids of its own."""
    try:
        descriptor = os.open(folder / _ALIVE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _instances(parent: Path) -> Iterable[Path]:
    with suppress(OSError):
        return list(parent.iterdir())
    return []


def install() -> None:
    """Keep the values of every metric from now on, prometheus_client's too.

    What prometheus_client adds by itself, and the instance measures for all its processes, is
    left out.
    """
    values.install()
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    for collector in (prometheus_client.PROCESS_COLLECTOR, prometheus_client.GC_COLLECTOR):
        with suppress(KeyError):
            REGISTRY.unregister(collector)


def count_unreadable() -> None:
    """A file, or part of it, could not be read."""
    from telemetry.metrics.definitions import STORE_UNREADABLE

    STORE_UNREADABLE.child().inc()


instance = Instance()
os.register_at_fork(
    before=store.before_fork,
    after_in_parent=store.after_fork_in_parent,
    after_in_child=instance.begin_in_child,
)
