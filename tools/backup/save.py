"""``make backup``: a copy of the running system in ``backups/`` or in the folder of ``TO=``."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tools.backup import manifest, running
from tools.backup.errors import BackupError, told
from tools.backup.parts import PARTS
from tools.local.layout import ROOT, Layout, from_environment

Say = Callable[[str], None]


def save(layout: Layout, target: Path, say: Say = print) -> None:
    """Write a backup to ``target``, which must not exist, whole or (BackupError) not at all."""
    run = running.find(layout)
    names = _names(run, say)
    if target.exists():
        raise BackupError(f"{target} is there already: TO=… names another folder")
    unfinished = target.with_name(f"{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    # It holds the secrets and everybody's expenses.
    unfinished.chmod(0o700)
    try:
        made_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        entries = {}
        for name in names:
            began = time.monotonic()
            scratch = unfinished / "scratch" / name
            scratch.mkdir(parents=True)
            file = unfinished / PARTS[name].file
            entries[name] = manifest.describe(file, PARTS[name].save(run, file, scratch))
            shutil.rmtree(scratch)
            say(f"  {name:13} {entries[name].bytes:>13,} bytes in {time.monotonic() - began:.1f} s")
        shutil.rmtree(unfinished / "scratch")
        manifest.write(unfinished, manifest.Manifest(made_at, manifest.versions(), entries))
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _names(run: running.Running, say: Say) -> list[str]:
    """The parts to save. Raises BackupError when one that belongs to the run is not there."""
    stack = ("prometheus", "alertmanager", "jaeger")
    left_out = {}
    if run.database_port is None:
        left_out["postgres"] = "it is the one of DATABASE_URL, dump it where it is"
    if not run.stack:
        left_out |= dict.fromkeys(stack, "it was not started (STACK=0)")
    for name in stack:
        if name not in left_out and name not in run.processes:
            raise BackupError(f"{name} does not run, make status says more: a backup must be whole")
    for name, why in left_out.items():
        say(f"  {name:13} left out: {why}")
    return [name for name in PARTS if name not in left_out]


def main() -> int:
    chosen = os.environ.get("TO", "").strip()
    target = Path(chosen) if chosen else ROOT / "backups" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
    # What was begun is cleaned up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        save(from_environment(), target.resolve())
    except BackupError as problem:
        print(f"make backup: {problem}")
        return 1
    except OSError as error:
        print(f"make backup: {told(error)}")
        return 1
    except KeyboardInterrupt:
        print("make backup: broken off, nothing was kept")
        return 1
    print(f"backup in {target.resolve()}\nback with: make down; make restore FROM={target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
