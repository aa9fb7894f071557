"""The local run that lives: what a backup is taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from tools.backup.errors import BackupError
from tools.local import runs
from tools.local.layout import Layout

#: Seconds that a part may take for one answer; a snapshot of large data takes some.
PATIENCE = 120.0


@dataclass(frozen=True)
class Running:
    layout: Layout
    #: Process ids of the parts that run, by name.
    processes: dict[str, int]
    #: Port of the run's own PostgreSQL, None with a database of `DATABASE_URL`.
    database_port: int | None
    #: Whether the monitoring stack belongs to it.
    stack: bool


def find(layout: Layout) -> Running:
    """The run of this state folder. Raises BackupError when none lives."""
    if runs.supervisor(layout) is None:
        raise BackupError(f"nothing runs with {layout.folder}: make up starts it")
    state = runs.read_state(layout.state)
    if "processes" not in state:
        raise BackupError("the system is still starting: try again when make up shows its table")
    return Running(
        Layout(layout.folder, {**layout.ports, **state["ports"]}),
        state["processes"],
        state["database_port"],
        state["stack"],
    )


def ask(name: str, method: str, url: str, **options: Any) -> Any:
    """The JSON answer of a part. Raises BackupError with its words when it refuses."""
    try:
        answer = requests.request(method, url, timeout=PATIENCE, **options)
    except requests.RequestException as error:
        raise BackupError(f"{name} does not answer at {url} ({type(error).__name__})") from error
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not answer.ok or content is None:
        words = " ".join(answer.text.split())[:200]
        raise BackupError(f"{name} answers {url} with {answer.status_code}: {words}")
    return content
