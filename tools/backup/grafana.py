"""Grafana: what it is provisioned from. In the local run it does not run and keeps nothing else.

On the way back the files are put beside, never over a checkout's own. docs/backup.md has the
commands for the volume of the compose files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from monitoring.render import HERE
from tools.backup import archive
from tools.backup.running import Running
from tools.local.layout import Layout


def save(_running: Running, file: Path, scratch: Path) -> int:
    for name in ("dashboards", "provisioning"):
        shutil.copytree(HERE / "grafana" / name, scratch / "grafana" / name)
    return archive.pack(scratch / "grafana", file)


def load(file: Path, layout: Layout) -> None:
    archive.unpack(file, layout.folder / "grafana")
