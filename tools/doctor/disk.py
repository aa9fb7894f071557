"""The disk of the local run's state folder."""

from __future__ import annotations

import shutil

from tools.doctor.check import Failed, Skipped, System

#: Bytes below which Prometheus, Badger and PostgreSQL soon cannot write.
LEAST = 1_000_000_000


def room(system: System) -> str:
    if system.layout is None:
        raise Skipped("not the local run: the disk is not here")
    folder = system.layout.folder
    usage = shutil.disk_usage(folder)
    words = f"{usage.free / 1e9:.1f} GB free for {folder}"
    if usage.free < LEAST:
        raise Failed(f"{words}, less than {LEAST / 1e9:g} GB")
    return words
