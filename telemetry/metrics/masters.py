"""The masters of an instance: one, and two while a new one takes over (gunicorn's SIGUSR2).

Each keeps a locked file ``master-PID-PARENT-TOKEN`` in the instance's folder. It holds the CPU
time of the master and its children as it was last shown, in clock ticks: the instance's counter
must not fall when the old master ends.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from telemetry.metrics import locks

_NAME = re.compile(r"master-(\d+)-(\d+)-[0-9a-f]+")


@dataclass(frozen=True)
class Master:
    """One master that the folder knows."""

    path: Path
    pid: int
    parent: int
    is_alive: bool

    def cpu_ticks(self) -> int:
        """CPU time as it was last shown."""
        with suppress(OSError, ValueError):
            return int(self.path.read_text())
        return 0

    def note_cpu_ticks(self, ticks: int) -> None:
        # The file may be another user's, who began as root: then the counter begins anew.
        with suppress(OSError):
            self.path.write_text(f"{ticks:020}")


def join(folder: Path) -> int:
    """List this process as a master; it is one as long as the returned descriptor is open.

    Raises OSError.
    """
    path = folder / f"master-{os.getpid()}-{os.getppid()}-{secrets.token_hex(8)}"
    descriptor = locks.begin(path)
    locks.finish(path)
    return descriptor


def of(folder: Path) -> list[Master]:
    """The masters of an instance, ended ones included."""
    found = []
    with suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208  quicker
            if named := _NAME.fullmatch(name):
                path, pid = folder / name, int(named[1])
                found.append(Master(path, pid, int(named[2]), locks.is_held_at(path, pid)))
    return found


def folder_of(parent: Path, pid: int, listed_as: str = "master") -> Path | None:
    """The folder, in that of all instances, in which a living process is listed: as a ``master``,
    or as any ``process`` that counts."""
    suffix = "" if listed_as == "master" else ".names"
    with suppress(OSError):
        for path in parent.glob(f"instance-*/{listed_as}-{pid}-*{suffix}"):
            if locks.is_held_at(path, pid):
                return path.parent
    return None


def ended_cpu_ticks(masters: list[Master]) -> int:
    """CPU time of masters that are gone, where no living one has waited for it.

    A new master that gives up is a child of the old one, in whose time it counts from then on.
    """
    living = {master.pid for master in masters if master.is_alive}
    ticks = 0
    for master in masters:
        if master.is_alive or master.pid in living:
            continue
        if master.parent in living:
            with suppress(OSError):
                master.path.unlink()
        else:
            ticks += master.cpu_ticks()
    return ticks
