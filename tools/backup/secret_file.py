"""The run's generated secrets: without them nobody could log in to what comes back."""

from __future__ import annotations

from pathlib import Path

from tools.backup.running import Running
from tools.local.layout import Layout


def save(running: Running, file: Path, _scratch: Path) -> int:
    return _copy(running.layout.secrets, file)


def load(file: Path, layout: Layout) -> None:
    _copy(file, layout.secrets)


def _copy(source: Path, target: Path) -> int:
    target.touch(mode=0o600)
    return target.write_bytes(source.read_bytes())
