"""Prometheus: its own snapshot, which holds what is in memory as a block as well.

The admin API that makes it is on in the local run, on loopback, and off in the compose files: there
whoever reaches Prometheus, Grafana's users included, could delete series.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.backup import archive
from tools.backup.errors import BackupError
from tools.backup.running import Running, ask
from tools.local.layout import Layout


def save(running: Running, file: Path, _scratch: Path) -> int:
    url = running.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/admin/tsdb/snapshot")
    name = Path(ask("prometheus", "POST", url)["data"]["name"]).name
    snapshot = running.layout.folder / "prometheus" / "snapshots" / name
    if not snapshot.is_dir():
        raise BackupError(f"Prometheus made a snapshot {name}, but not at {snapshot}")
    try:
        return archive.pack(snapshot, file)
    finally:
        # Its blocks are hard links: they would outlive the retention.
        shutil.rmtree(snapshot)


def load(file: Path, layout: Layout) -> None:
    archive.unpack(file, layout.folder / "prometheus")
