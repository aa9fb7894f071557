"""Folders as one file and back: tar, with gzip at its quickest."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

from tools.backup.errors import BackupError


def pack(folder: Path, file: Path) -> int:
    """Write what is in ``folder`` to ``file``; returns the bytes that it takes unpacked."""
    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, entry.name)
    return sum(found.stat().st_size for found in folder.rglob("*") if found.is_file())


def unpack(file: Path, folder: Path) -> None:
    """Put what ``pack`` wrote into ``folder``, which is made. Raises BackupError if damaged."""
    folder.mkdir(parents=True)
    try:
        with tarfile.open(file, "r:gz") as archive:
            # No absolute paths, no way out of the folder, no foreign owners.
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise BackupError(f"{file} cannot be unpacked ({error}): take another backup") from error
