"""Which run of a state folder lives: a lock that the kernel takes away when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any, TextIO

from tools.local.layout import Layout

#: Seconds to wait for the lock: ``make status`` holds it for a moment when it looks.
_PATIENCE = 0.5


def take(layout: Layout) -> TextIO | None:
    """The lock of the state folder with our process id inside, None when another run has it.

    A file that a killed run left behind is no obstacle: its lock is gone.
    """
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    handle = layout.lock.open("a+")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                handle.close()
                return None
            time.sleep(0.05)
        else:
            break
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def supervisor(layout: Layout) -> int | None:
    """Process id of the run that lives, None when there is none."""
    if not layout.lock.is_file():
        return None
    with layout.lock.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            text = handle.read().strip()
            return int(text) if text.isdigit() else None
    return None


def write_state(layout: Layout, state: dict[str, Any]) -> None:
    unfinished = layout.state.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(state, indent=1))
    unfinished.replace(layout.state)


def read_state(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def with_ports_of_run(layout: Layout) -> Layout:
    """The layout with the ports that the running system uses; those of the environment win."""
    return Layout(layout.folder, {**read_state(layout.state).get("ports", {}), **layout.ports})
