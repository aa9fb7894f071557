"""``make restore FROM=folder``: a new state folder from a backup, put in place when it is whole."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from testing.postgres import free_port
from tools.backup import manifest
from tools.backup.errors import BackupError, told
from tools.backup.parts import PARTS, present
from tools.local import runs
from tools.local.layout import PORTS, Layout, from_environment

Say = Callable[[str], None]

#: In a folder that is being made: what has it is nobody's only copy.
_UNFINISHED = "restore-is-not-finished"


def restore(source: Path, layout: Layout, *, force: bool = False, say: Say = print) -> None:
    """Bring a backup back. Raises BackupError; then what was there before is as it was.

    With ``force`` a state that is there is kept inside the new one, as ``replaced-DATE``.
    """
    made = manifest.read(source)
    manifest.verify(source, made, PARTS)
    folder = layout.folder
    beside = folder.with_name(f"{folder.name}.restoring")
    if beside.exists() and any(beside.iterdir()) and not (beside / _UNFINISHED).exists():
        raise BackupError(
            f"{beside} is left of a restore that was killed at its last step: if {folder} is "
            f"missing, mv {beside} {folder}, else move it away"
        )
    lock = runs.take(layout)
    if lock is None:
        raise BackupError(f"still running (process {runs.supervisor(layout)}): make down first")
    with lock:
        if (there := present(folder)) and not force:
            raise BackupError(
                f"{folder} holds {', '.join(there)} already: make clean removes them, "
                "FORCE=1 keeps them aside"
            )
        _make_room(folder.parent, made)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            _fill(source, made, beside, say)
            if kept := _put_in_place(beside, folder):
                say(f"what was there before is in {kept}")
        except BaseException:
            if (beside / _UNFINISHED).exists():
                shutil.rmtree(beside, ignore_errors=True)
            raise


def _make_room(folder: Path, made: manifest.Manifest) -> None:
    needed = sum(entry.unpacked_bytes for entry in made.parts.values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackupError(
            f"the disk is too full: {needed / 1e6:,.0f} MB are needed in {folder}, "
            f"{free / 1e6:,.0f} MB are free"
        )


def _fill(source: Path, made: manifest.Manifest, beside: Path, say: Say) -> None:
    new = Layout(beside, {name: free_port() for name in PORTS})
    beside.mkdir(parents=True)
    (beside / _UNFINISHED).touch()
    new.make()
    for name, part in PARTS.items():
        if name not in made.parts:
            say(f"  {name:13} is not in this backup")
            continue
        began = time.monotonic()
        part.load(source / made.parts[name].file, new)
        say(f"  {name:13} {time.monotonic() - began:.1f} s")
    # Logs of the programs that were run for it.
    shutil.rmtree(new.logs)


def _put_in_place(beside: Path, folder: Path) -> Path | None:
    """Two renames, and back if the second fails; returns where the old folder is now."""
    kept = beside / f"replaced-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    (beside / _UNFINISHED).unlink()
    try:
        folder.rename(kept)
        beside.rename(folder)
    except OSError:
        if kept.exists():
            kept.rename(folder)
        (beside / _UNFINISHED).touch()
        raise
    kept = folder / kept.name
    if present(kept) or any((kept / "logs").glob("*")):
        return kept
    shutil.rmtree(kept)
    return None


def main() -> int:
    source = os.environ.get("FROM", "").strip()
    if not source:
        print("usage: make restore FROM=folder-of-a-backup")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    force = os.environ.get("FORCE", "").strip() not in {"", "0"}
    layout = from_environment()
    try:
        restore(Path(source).resolve(), layout, force=force)
    except BackupError as problem:
        print(f"make restore: {problem}")
        return 1
    except OSError as error:
        print(f"make restore: {told(error)}; nothing was changed")
        return 1
    except KeyboardInterrupt:
        print("make restore: broken off, nothing was changed")
        return 1
    print(f"restored to {layout.folder}; make up starts it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
