"""What a backup is made of, in the order in which it is taken and brought back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.backup import alertmanager, grafana, jaeger, postgres, prometheus, secret_file
from tools.backup.running import Running
from tools.local.layout import Layout


@dataclass(frozen=True)
class Part:
    file: str
    #: Writes the file, with a scratch folder for itself; returns the bytes that it takes unpacked.
    save: Callable[[Running, Path, Path], int]
    #: Brings the file back into a state folder that nothing runs on.
    load: Callable[[Path, Layout], None]
    #: What of the state folder it is.
    state: str


PARTS = {
    "secrets": Part("secrets.env", secret_file.save, secret_file.load, "secrets.env"),
    "postgres": Part("postgres.dump", postgres.save, postgres.load, "postgres"),
    "prometheus": Part("prometheus.tar.gz", prometheus.save, prometheus.load, "prometheus"),
    "alertmanager": Part("silences.json", alertmanager.save, alertmanager.load, "alertmanager"),
    "jaeger": Part("jaeger.tar.gz", jaeger.save, jaeger.load, "jaeger"),
    "grafana": Part("grafana.tar.gz", grafana.save, grafana.load, "grafana"),
}


def present(folder: Path) -> list[str]:
    """Which of them a state folder holds already."""
    return [name for name, part in PARTS.items() if (folder / part.state).exists()]
