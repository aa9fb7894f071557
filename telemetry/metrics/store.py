"""Where the values of metrics live: in memory, or in files that all workers of an instance share.

One instance is one master process and its children. Its folder is named by the master's process
id and start time, so a new start never finds old values, and the folder of a dead master is
recognised and removed. A process that stands alone needs no folder.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import prometheus_client
from prometheus_client.registry import REGISTRY

from telemetry import processes
from telemetry.environment import WrongEnvironmentError
from telemetry.metrics import folding, locks, masters, values
from telemetry.metrics.reader import Reader, parse_name
from telemetry.metrics.slots import store
from telemetry.metrics.sources import FileSource
from telemetry.settings import PROMETHEUS_MULTIPROC_DIR

logger = logging.getLogger(__name__)

_FOLDER_NAME = re.compile(r"instance-(\d+)-(\d+)(?:-([0-9a-f]+))?")
_ALIVE = "alive"
_WORKER_NAME = re.compile(r"worker-(\d+)-[0-9a-z]+")
#: What was interrupted in the middle of being made or removed.
_UNFINISHED = re.compile(r"(new|removed)-[0-9a-f]+")
#: Seconds after which such a folder is removed.
_UNFINISHED_STAYS = 60
_TRIES = 10
#: The leader's turns are as long as everybody's, and at other moments: within two it had one.
_TURNS_OF_LEADER = 2
#: Written when files were removed by somebody else and came back: one process of many says so.
_RESTORED = "restored"


class Instance:
    """The store of this process: shared with other workers in ``folder``, or its own (None)."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        #: Process id of the master, or of this process where it stands alone.
        self.master = os.getpid()
        self._lock_file: int | None = None
        #: Keeps the folder from being taken for a dead one's.
        self._alive_file: int | None = None
        #: The lock of a master.
        self._master_file: int | None = None
        #: The lock of a worker.
        self._worker_file: int | None = None
        self._worker_path: Path | None = None
        self._reader: Reader | None = None
        #: Of the process that this one was forked from.
        self._parents: FileSource | None = None
        #: Where no folder can be written: each process has values of its own, and which of them
        #: leads is decided by a lock on a file that has no name.
        self.is_apart = False
        self._leader_file = -1
        #: How often this process still lets the leader make its file again where that is gone. It
        #: does not before it asked to lead: at the start there is none.
        self._waits_for_leader = 0

    def _stay_alone(self, master: int) -> None:
        """Keep the values of each process for itself, for want of a folder to share."""
        self.master = master
        self.is_apart = True
        with suppress(OSError, AttributeError):
            self._leader_file = os.memfd_create("telemetry-leader")
        logger.warning(
            "no folder for metrics can be written (%s): each process shows its own values, and a "
            "scrape those of the one that answers it; PROMETHEUS_MULTIPROC_DIR names a folder",
            ", ".join(map(str, _default_parents())),
        )

    def _own_path(self, folder: Path) -> Path:
        # Process ids come again, in another container with the same folder at the same moment.
        return folder / f"process-{os.getpid()}-{secrets.token_hex(8)}"

    def share(self, master: int, takes_over_from: int = 0) -> None:
        """Keep values in files shared by the children of ``master``, and by those of the master
        that it takes over from (its process id, 0 for none).

        What was counted before moves there. Calling it again for the same master changes nothing.
        """
        if self.folder is not None and self.master == master:
            return
        parent = parent_folder()
        if not can_share():
            self._stay_alone(master)
            return
        ticks = processes.start_ticks(master)
        folder = parent / "-".join(["instance", str(master), str(ticks), *place()])
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            remove_dead(parent)
            if takes_over_from:
                folder = masters.folder_of(parent, takes_over_from) or folder
            held = _enter(folder)
        except OSError as error:
            raise WrongEnvironmentError(
                PROMETHEUS_MULTIPROC_DIR.name,
                f"must name a folder that can be written: {error.strerror}: {parent}",
            ) from None
        self._open(folder, held, master)

    def share_with(self, pid: int) -> bool:
        """Keep values beside those of a living process, as the worker that spawned this one; False
        where it shares them with nobody."""
        folder = masters.folder_of(parent_folder(), pid, "process")
        if folder is None:
            return False
        named = _FOLDER_NAME.fullmatch(folder.name)
        living = [one.pid for one in masters.of(folder) if one.is_alive]
        if not living and named is not None:
            # A server whose master does not load the application, as uvicorn's.
            living = [int(named[1])]
        try:
            self._open(folder, _enter(folder), living[0])
        except OSError:
            return False
        return True

    def _open(self, folder: Path, held: int, master: int) -> None:
        left, self.folder = self.folder, folder
        self.master = master
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._alive_file is not None:
            os.close(self._alive_file)
        #: All processes of the instance hold this lock, as forked children do by birth.
        self._alive_file = held
        store.open(self._own_path(folder))
        store.tell()
        if master == os.getpid():
            # A master that is not listed serves all the same.
            with suppress(OSError):
                self._master_file = masters.join(folder)
        if left is not None and left != folder:
            # The process that read the configuration has ended in favour of this one (a daemon).
            _remove_unless_held(left)

    def masters(self) -> list[int]:
        """Process ids of the living masters: two while a new one takes over."""
        listed = [] if self.folder is None else masters.of(self.folder)
        return sorted({self.master, *(one.pid for one in listed if one.is_alive)})

    def start_ticks(self) -> int:
        """Start of the instance's first process, in ticks after boot; 0 where it is unknown."""
        named = _FOLDER_NAME.fullmatch(self.folder.name) if self.folder is not None else None
        return int(named[2]) if named else processes.start_ticks(self.master)

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

    def began_at(self) -> float:
        """When the instance began, in seconds since the Unix epoch; 0 where that is unknown."""
        with suppress(OSError, TypeError):
            return os.fstat(self._alive_file).st_mtime  # type: ignore[arg-type]
        return 0.0

    def add_worker(self) -> None:
        """Count this process among those that answer requests."""
        if self.folder is None:
            return
        path = self.folder / f"worker-{os.getpid()}-{secrets.token_hex(8)}"
        # A worker that is not counted serves all the same.
        with suppress(OSError):
            descriptor = locks.begin(path)
            locks.finish(path)
            if self._worker_file is not None:
                os.close(self._worker_file)
            self._worker_file, self._worker_path = descriptor, path

    def remove_worker(self) -> None:
        """This process ends because it was asked to, and is no worker any more."""
        # First: a file that is missing while there is a path is made again.
        path, self._worker_path = self._worker_path, None
        if path is not None:
            with suppress(OSError):
                path.unlink()

    def workers(self) -> list[int]:
        """Process ids of the living workers."""
        if self.folder is None:
            return [os.getpid()]
        found = []
        with suppress(OSError):
            for name in os.listdir(self.folder):  # noqa: PTH208  quicker
                if named := _WORKER_NAME.fullmatch(name):
                    pid = int(named[1])
                    if locks.is_held_at(self.folder / name, pid):
                        found.append(pid)
                    else:
                        _forget_crashed(self.folder / name)
        return sorted(found)

    def lead(self) -> bool:
        """Whether this process is the one that does what only one may do.

        The first worker to ask holds a lock on a file until it dies; then another gets it.
        """
        if self.folder is not None:
            path = self.folder / "leader"
        elif self._leader_file >= 0:
            # Opened again: what is inherited has one lock for all.
            path = Path(f"/proc/self/fd/{self._leader_file}")
        else:
            return True
        if self._lock_file is not None:
            if locks.is_at(path, self._lock_file):
                return True
            # Somebody removed it: another process may have locked a new one.
            os.close(self._lock_file)
            self._lock_file = None
        elif self._waits_for_leader > 0 and not path.exists():
            # Who led makes it again when its turn comes, and goes on with what it does alone.
            self._waits_for_leader -= 1
            return False
        self._waits_for_leader = _TURNS_OF_LEADER
        descriptor = folding.open_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock_file = descriptor
        return True

    def list_master_again(self) -> None:
        """List this master again if somebody removed its file. Called before a fork: between two
        it runs nothing, and the new master that SIGUSR2 forks looks for the file."""
        if self.folder is None or self._master_file is None:
            return
        with suppress(OSError):
            if os.fstat(self._master_file).st_nlink == 0:
                listed = masters.join(self.folder)
                os.close(self._master_file)
                self._master_file = listed

    def begin_in_child(self) -> None:
        """After a fork: what belongs to the parent (its lock, its files) is left to it."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        self._waits_for_leader = 0
        if self._master_file is not None:
            os.close(self._master_file)
            self._master_file = None
        if self._worker_file is not None:
            os.close(self._worker_file)
            self._worker_file = self._worker_path = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self.folder is None:
            self.master = os.getpid()
        self._keep_parents_files()
        store.begin_in_child(None if self.folder is None else self._own_path(self.folder))

    def _keep_parents_files(self) -> None:
        """Keep the parent's files open: when somebody removes them, it may not be one that writes
        them again, as a master of workers does nothing between two forks."""
        if self._parents is not None:
            self._parents.close()
            self._parents = None
        names, slots = store.descriptors
        if store.path is not None and names >= 0:
            # Opened again: what is inherited has a part of the parent's lock.
            with suppress(OSError):
                self._parents = FileSource(
                    store.path, os.getppid(), f"/proc/self/fd/{names}", f"/proc/self/fd/{slots}"
                )

    def keep_up(self) -> None:
        """Write what found no room before, and what somebody removed from the folder."""
        if self.folder is None:
            self._join_children()
            return
        restored = self._restore(self.folder)
        if store.path is None:
            store.open(self._own_path(self.folder))
        store.write_names()
        store.tell()
        self.reader().discover()
        if restored and self._says_so(self.folder):
            logger.warning(
                "files of metrics were removed from %s by somebody else, a cleaner of temporary "
                "files perhaps; they are written again, and no value is lost. "
                "PROMETHEUS_MULTIPROC_DIR names another folder",
                self.folder,
            )

    def _join_children(self) -> None:
        """Share values with the processes that this one spawned, once there are some: they have
        made a folder of its name."""
        ticks = processes.start_ticks(self.master)
        folder = "-".join(["instance", str(self.master), str(ticks), *place()])
        if (parent_folder() / folder).is_dir():
            self.share(self.master)
            self.add_worker()

    def _restore(self, folder: Path) -> bool:
        """Write the files of this process again if they are not there; whether any was missing."""
        missing = False
        if self._alive_file is None or not locks.is_at(folder / _ALIVE, self._alive_file):
            missing = True
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._alive_file is not None:
                os.close(self._alive_file)
                self._alive_file = None
            self._alive_file = _share_lock(folder)
        if store.path is not None and store.is_lost():
            missing = True
            lost = store.path
            if f"{lost.name}.names" in self.reader().folded():
                # Somebody took this process for one that had ended.
                store.begin_again()
            file = parse_name(f"{lost.name}.names")
            if store.open(folder / f"{file.process}-{file.generation + 1}"):
                for suffix in (".slots", ".names"):
                    with suppress(OSError):
                        Path(f"{lost}{suffix}").unlink()
        path, descriptor = self._worker_path, self._worker_file
        if path is not None and descriptor is not None and not locks.is_at(path, descriptor):
            missing = True
            self.add_worker()
        return missing

    def _says_so(self, folder: Path) -> bool:
        """Whether this process is the one that logs it."""
        path = folder / _RESTORED
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNFINISHED_STAYS:
                path.unlink()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError:
            return False
        return True

    def reader(self) -> Reader:
        """What reads the values of all processes."""
        if self._reader is None:
            self._reader = Reader(store, self.folder)
            self._reader.count_unreadable = count_unreadable
            self._reader.fold = self.fold
            if self._parents is not None:
                self._reader.adopt(self._parents)
                self._parents = None
        return self._reader

    def fold(self) -> None:
        """Add up what ended processes left."""
        if self.folder is not None:
            folding.fold(self.folder, store, *self.reader().lost())

    def remove(self) -> None:
        """Remove the shared folder, unless another master goes on with it; the master calls this
        when it ends."""
        if self.folder is not None and self.masters() == [os.getpid()]:
            shutil.rmtree(self.folder, ignore_errors=True)


def _forget_crashed(worker: Path) -> None:
    """A worker is gone that did not remove its file: of all who notice, one counts it."""
    try:
        worker.unlink()
    except OSError:
        # Another process was quicker, or it is no file.
        return
    from telemetry.metrics.definitions import PROCESS_WORKER_CRASHES

    PROCESS_WORKER_CRASHES.child().inc()


def _enters(user: int, group: int, folder: Path) -> bool:
    found = folder.stat()
    if found.st_uid == user:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == group else stat.S_IXOTH))


def can_share() -> bool:
    """Whether a folder was named, or there is one that can be written."""
    return bool(PROMETHEUS_MULTIPROC_DIR.read()) or _is_usable(parent_folder())


def parent_folder() -> Path:
    """Where instances keep their folders, also when the variable was inherited from one."""
    named = PROMETHEUS_MULTIPROC_DIR.read()
    if not named:
        found = [parent / f"telemetry-metrics-{os.getuid()}" for parent in _default_parents()]
        return next(filter(_is_usable, found), found[0])
    folder = Path(named)
    return folder.parent if _FOLDER_NAME.fullmatch(folder.name) else folder


def _default_parents() -> list[Path]:
    """Folders for what lives as long as a process, the best first.

    systemd's RuntimeDirectory is the service's own. /dev/shm is memory, no cleaner of temporary
    files looks at it, and it can be written in a container whose root file system cannot.
    """
    found = [
        Path(folder) for folder in os.environ.get("RUNTIME_DIRECTORY", "").split(":") if folder
    ]
    found.append(Path("/dev/shm"))  # noqa: S108  the folder in it is checked for its owner
    with suppress(FileNotFoundError):
        # Raised where no temporary folder can be written.
        found.append(Path(tempfile.gettempdir()))
    return found


def _is_usable(folder: Path) -> bool:
    """Whether this user can keep files in a folder, or can make it."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return folder.parent.is_dir() and os.access(folder.parent, os.W_OK | os.X_OK)
    except OSError:
        return False
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return own and os.access(folder, os.W_OK | os.X_OK)


def place() -> list[str]:
    """Where process ids count: this boot of this machine, and the container's own ids. Nothing
    where it cannot be known."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
        ids = Path("/proc/self/ns/pid").stat().st_ino
        return [hashlib.blake2s(f"{boot}{ids}".encode(), digest_size=4).hexdigest()]
    return []


def remove_dead(parent: Path) -> None:
    """Remove the folders of instances whose processes are gone."""
    here = place()
    for folder in _instances(parent):
        if _UNFINISHED.fullmatch(folder.name):
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > _UNFINISHED_STAYS:
                    shutil.rmtree(folder, ignore_errors=True)
            continue
        named = _FOLDER_NAME.fullmatch(folder.name)
        if named is None:
            continue
        master, ticks, where = int(named[1]), int(named[2]), named[3]
        if where in {None, *here} and processes.is_same(master, ticks):
            continue
        _remove_unless_held(folder)


def _remove_unless_held(folder: Path) -> None:
    """Remove the folder of an instance none of whose processes lives. They may be out of sight, in
    another container that has the same folder and process ids of its own; their lock is not."""
    try:
        descriptor = os.open(folder / _ALIVE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        # Who comes in now finds it locked, and afterwards another folder.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        removed = folder.with_name(f"removed-{secrets.token_hex(8)}")
        folder.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(descriptor)


def _enter(folder: Path) -> int:
    """Make the folder of an instance or join it; gives the lock that its processes hold.

    Raises OSError. Nobody finds a folder whose lock is not held: it might be removed.
    """
    for _ in range(_TRIES):
        made = folder.with_name(f"new-{secrets.token_hex(8)}")
        if not folder.is_symlink() and not folder.exists():
            made.mkdir(mode=0o700)
            held = _share_lock(made)
            try:
                made.rename(folder)
            except OSError:
                # Another process of the instance was quicker.
                os.close(held)
                shutil.rmtree(made, ignore_errors=True)
            else:
                return held
        owner = folder.lstat()
        if owner.st_uid != os.getuid() or not stat.S_ISDIR(owner.st_mode):
            # A folder for temporary files is everybody's: somebody may have laid a trap there.
            raise WrongEnvironmentError(
                PROMETHEUS_MULTIPROC_DIR.name, f"must name a folder of one's own, not {folder}"
            )
        held = _share_lock(folder)
        if locks.is_at(folder / _ALIVE, held):
            return held
        os.close(held)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _share_lock(folder: Path) -> int:
    descriptor = folding.open_lock(folder / _ALIVE)
    # Where there are no locks, process ids have to do.
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


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
os.register_at_fork(before=instance.list_master_again)
os.register_at_fork(
    before=store.before_fork,
    after_in_parent=store.after_fork_in_parent,
    after_in_child=instance.begin_in_child,
)
