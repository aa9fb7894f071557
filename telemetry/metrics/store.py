"""Where the values of metrics live: in memory, or in files that all workers of an instance share.

One instance is one master process and its children. Its folder is named by the master's process
id and start time, so a new start never finds old values, and the folder of a dead master is
recognised and removed. Behind it stand prometheus_client's memory-mapped files, which sum over
workers but carry no exemplars.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, multiprocess, values
from prometheus_client.registry import REGISTRY, Collector

from telemetry import processes
from telemetry.environment import WrongEnvironmentError
from telemetry.settings import PROMETHEUS_MULTIPROC_DIR

_FOLDER_NAME = re.compile(r"instance-(\d+)-(\d+)")
_LIVE_GAUGE = re.compile(r"gauge_live\w+_(\d+)\.db")


class Instance:
    """The store of this process: shared with other workers in ``folder``, or its own (None)."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        #: Process id of the master, or of this process where it stands alone.
        self.master = os.getpid()
        self._lock_file: int | None = None

    def share(self, master: int) -> None:
        """Keep values in files shared by the children of ``master``.

        Must come before the first metric is made: prometheus_client chooses its class of values
        when a metric is made. Calling it again for the same master changes nothing.
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
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self.folder)
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]

    def add_worker(self) -> None:
        """Count this process among those that answer requests."""
        if self.folder is not None:
            (self.folder / f"worker-{os.getpid()}").touch()

    def workers(self) -> list[int]:
        """Process ids of the living workers."""
        if self.folder is None:
            return [os.getpid()]
        found = []
        for file in self.folder.glob("worker-*"):
            pid = int(file.name.removeprefix("worker-"))
            if processes.alive(pid):
                found.append(pid)
            else:
                file.unlink(missing_ok=True)
        return sorted(found)

    def lead(self) -> bool:
        """Whether this process is the one that does what only one may do.

        The first worker to ask holds a lock on a file until it dies; then another gets it.
        """
        if self.folder is None or self._lock_file is not None:
            return True
        descriptor = os.open(self.folder / "leader", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock_file = descriptor
        return True

    def forget_after_fork(self) -> None:
        """A lock taken before a fork belongs to the parent; this process must ask for its own."""
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        if self.folder is None:
            self.master = os.getpid()

    def registry(self) -> Collector | CollectorRegistry:
        """What a scrape shows of the store, all workers summed."""
        if self.folder is None:
            return REGISTRY
        for file in self.folder.glob("gauge_live*.db"):
            named = _LIVE_GAUGE.fullmatch(file.name)
            if named and not processes.alive(int(named.group(1))):
                file.unlink(missing_ok=True)
        collector = multiprocess.MultiProcessCollector(  # type: ignore[no-untyped-call]
            None, str(self.folder)
        )
        return _Single(collector)

    def remove(self) -> None:
        """Remove the shared folder; the master calls this when it ends."""
        if self.folder is not None and self.master == os.getpid():
            shutil.rmtree(self.folder, ignore_errors=True)


class _Single(CollectorRegistry):
    """A registry of one collector that is not asked for anything when it is registered."""

    def __init__(self, collector: multiprocess.MultiProcessCollector) -> None:
        super().__init__(auto_describe=False)
        self.register(collector)


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
        if processes.start_ticks(master) != ticks:
            shutil.rmtree(folder, ignore_errors=True)


def _instances(parent: Path) -> Iterable[Path]:
    with suppress(OSError):
        return list(parent.iterdir())
    return []


def use_plain_values() -> None:
    """Leave out what prometheus_client adds by itself and the instance measures better."""
    if instance.folder is None:
        # prometheus_client wants files as soon as PROMETHEUS_MULTIPROC_DIR is set; one process
        # alone needs none.
        values.ValueClass = values.MutexValue
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    with suppress(KeyError):
        REGISTRY.unregister(prometheus_client.PROCESS_COLLECTOR)


instance = Instance()
os.register_at_fork(after_in_child=instance.forget_after_fork)
