"""Facts about processes from Linux' ``/proc``; 0 or nothing where there is none."""

from __future__ import annotations

import functools
import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Stat:
    """The fields of ``/proc/PID/stat`` that matter here, see proc_pid_stat(5)."""

    state: str
    parent: int
    #: User and system time of the process itself, in clock ticks.
    own_ticks: int
    #: The same of its children that ended and were waited for.
    ended_children_ticks: int
    #: Start after boot, in clock ticks.
    start_ticks: int
    resident_bytes: int


def stat(pid: int) -> Stat | None:
    text = _read(f"/proc/{pid}/stat")
    if not text:
        return None
    # The command in parentheses may hold spaces and parentheses: fields count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(
        state=fields[0],
        parent=int(fields[1]),
        own_ticks=int(fields[11]) + int(fields[12]),
        ended_children_ticks=int(fields[13]) + int(fields[14]),
        start_ticks=int(fields[19]),
        resident_bytes=int(fields[21]) * PAGE,
    )


def _read(path: str) -> str:
    """A small file of ``/proc``, nothing where there is none; a scrape reads dozens."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 8192).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def start_ticks(pid: int) -> int:
    """Start time of a process in ticks after boot; with the pid it names a process for good."""
    found = stat(pid)
    return found.start_ticks if found else 0


def alive(pid: int) -> bool:
    if not PROC.exists():
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            return True
        return False
    found = stat(pid)
    return found is not None and found.state not in "ZX"


def is_same(pid: int, ticks: int) -> bool:
    """Whether the process with this id still runs, and is the one that started then."""
    if not PROC.exists():
        return alive(pid)
    found = stat(pid)
    return found is not None and found.state not in "ZX" and found.start_ticks == ticks


def children(pid: int) -> list[int]:
    """Direct children of a process, those included that ended and were not waited for yet."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208  ten times quicker
            found += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
    except OSError:
        # Kernels without CONFIG_PROC_CHILDREN, or the process is gone.
        return [int(entry.name) for entry in _processes() if _parent(int(entry.name)) == pid]
    return found


def _processes() -> list[Path]:
    try:
        return [entry for entry in PROC.iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _parent(pid: int) -> int:
    found = stat(pid)
    return found.parent if found else 0


@functools.cache
def boot_time() -> float:
    """Seconds since the Unix epoch at which the machine started."""
    with suppress(OSError):
        for line in (PROC / "stat").read_text().splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    return 0.0


def proportional_memory(pid: int) -> int:
    """Proportional set size in bytes: shared pages divided by those who share them."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def memory_limit(proc: Path = PROC, cgroups: Path = CGROUPS) -> int:
    """Memory that this process and its siblings may use together, in bytes; 0 where it is unknown.

    The least of the limits of its control groups, version 1 or 2, up to the root, and of what the
    machine has. See memory.max in the kernel's cgroup-v2 and limit_in_bytes in its cgroup-v1.
    """
    found = [limit for limit in (_machine_memory(proc), *_group_limits(proc, cgroups)) if limit > 0]
    return min(found, default=0)


def _machine_memory(proc: Path) -> int:
    with suppress(OSError):
        for line in (proc / "meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    return 0


def _group_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    """Limits of the groups of this process. Within a container the path of its group is that of the
    host, or none: the group at the root of what is mounted is its own then."""
    for line in _read(str(proc / "self/cgroup")).splitlines():
        _number, controllers, path = line.split(":", 2)
        if not controllers:
            root, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / path.strip("/")
        for each in (group, *group.parents):
            # Without a limit it is "max", or more than any machine has.
            if (text := _read(str(each / name)).strip()).isdigit():
                yield int(text)
            if each == root:
                break


def open_descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(PROC / str(pid) / "fd"))  # noqa: PTH208  ten times quicker
    return 0


def allowed_descriptors(pid: int) -> int:
    try:
        # A tenth of what the file costs; only for processes of the same user.
        soft, _hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    except (OSError, AttributeError):
        _, _, found = _read(f"/proc/{pid}/limits").partition("\nMax open files")
        text = found.split(maxsplit=1)[0] if found else ""
        return int(text) if text.isdigit() else 0
    return max(soft, 0)
