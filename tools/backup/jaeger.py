"""Jaeger's Badger: copied while Jaeger is held still, then opened and closed by another Jaeger.

Badger has no backup that Jaeger's API reaches. Held by SIGSTOP, its files are what a killed process
would leave, and Badger is made to open those. That it does is proven before the copy counts as one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testing.postgres import free_port
from tools.backup import archive
from tools.backup.errors import BackupError
from tools.backup.running import Running
from tools.local import stack
from tools.local.layout import PORTS, Layout

_PIECE = 1024 * 1024


def save(running: Running, file: Path, scratch: Path) -> int:
    copied = Layout(scratch, {name: free_port() for name in PORTS})
    copied.make()
    with held(running.processes["jaeger"]):
        copy(running.layout.folder / "jaeger", scratch / "jaeger")
    part = stack.jaeger(copied)
    # Jaeger traces itself, and at its end waits ten seconds for somebody to take its last spans.
    part.environment["OTEL_TRACES_SAMPLER"] = "always_off"
    part.start()
    try:
        if not part.wait_until_ready(60):
            raise BackupError(f"the copy of Jaeger's data does not open: {part.last_words()}")
    finally:
        # Closed in order, Badger has written all to its tables and its files are no longer sparse.
        part.stop(60)
    return archive.pack(scratch / "jaeger", file)


def load(file: Path, layout: Layout) -> None:
    archive.unpack(file, layout.folder / "jaeger")


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Hold a process still. It goes on however this one ends, killed by SIGKILL included."""
    name, _ = _seen(pid)
    if name != "jaeger":
        raise BackupError(f"Jaeger's process {pid} is {name}: make status says more")
    guard = subprocess.Popen(
        # Ends with the pipe, which the kernel closes when we die.
        ["sh", "-c", 'cat > /dev/null; kill -CONT "$0"', str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 5
        while _seen(pid)[1] != "T":
            if time.monotonic() > deadline:
                raise BackupError("Jaeger could not be held still for the copy: try again")
            time.sleep(0.01)
        yield
    finally:
        guard.stdin.close()
        guard.wait(10)


def _seen(pid: int) -> tuple[str, str]:
    """Name and state of a process, as proc(5) has them; T is stopped."""
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")
    except OSError:
        return "gone", ""
    return before.partition("(")[2], after[0]


def copy(source: Path, target: Path) -> None:
    """Copy a folder with the holes of its files: Badger's logs are mapped 2 GB ahead."""
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            copy(entry, target / entry.name)
        elif entry.is_file() and entry.name != "LOCK":
            _copy_file(entry, target / entry.name)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("wb") as taken:
        size = os.fstat(given.fileno()).st_size
        end = 0
        while end < size:
            try:
                begin = os.lseek(given.fileno(), end, os.SEEK_DATA)
            except OSError:
                # Nothing but a hole until the end.
                break
            end = os.lseek(given.fileno(), begin, os.SEEK_HOLE)
            given.seek(begin)
            taken.seek(begin)
            left = end - begin
            while left > 0 and (piece := given.read(min(left, _PIECE))):
                taken.write(piece)
                left -= len(piece)
        taken.truncate(size)
    shutil.copystat(source, target)
