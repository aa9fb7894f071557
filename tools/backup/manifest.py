"""The list of what a backup holds, and whether it still does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from monitoring.tools.build import PROGRAMS
from testing.postgres import VERSION
from tools.backup.errors import BackupError

NAME = "manifest.json"
#: Goes up when older code could not read a backup, or newer code not an older one.
FORMAT = 1


@dataclass(frozen=True)
class Entry:
    """One part of a backup: its file, and what is needed to trust it."""

    file: str
    bytes: int
    sha256: str
    #: Disk that it takes when it is back.
    unpacked_bytes: int


@dataclass(frozen=True)
class Manifest:
    #: ISO 8601, UTC.
    made_at: str
    #: Versions of the programs whose data these are.
    versions: dict[str, str]
    parts: dict[str, Entry]


def versions() -> dict[str, str]:
    """The programs of this checkout."""
    kept = ("prometheus", "alertmanager", "jaeger")
    found = {program.name: program.release for program in PROGRAMS if program.name in kept}
    return {"postgres": str(VERSION), **found}


def describe(file: Path, unpacked_bytes: int) -> Entry:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Entry(file.name, file.stat().st_size, digest, unpacked_bytes)


def write(folder: Path, made: Manifest) -> None:
    content = {"format": FORMAT, **asdict(made)}
    (folder / NAME).write_text(json.dumps(content, indent=1) + "\n")


def read(folder: Path) -> Manifest:
    """The manifest of a backup. Raises BackupError when there is none that this code can read."""
    if not folder.is_dir():
        raise BackupError(f"there is no folder {folder}: make backup says where it put one")
    file = folder / NAME
    if not file.is_file():
        raise BackupError(f"{folder} is no backup: it has no {NAME}")
    try:
        content = json.loads(file.read_text())
        found = content["format"]
        if found != FORMAT:
            raise BackupError(
                f"{folder} is a backup of format {found}, this checkout reads {FORMAT}: "
                "restore it with the release that made it"
            )
        parts = {str(name): Entry(**entry) for name, entry in content["parts"].items()}
        made = Manifest(str(content["made_at"]), dict(content["versions"]), parts)
        for entry in parts.values():
            _check(entry)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{file} is damaged ({error!r}): take another backup") from error
    return made


def _check(entry: Entry) -> None:
    if Path(entry.file).name != entry.file:
        raise ValueError(f"not a plain file name: {entry.file!r}")
    if not isinstance(entry.bytes, int) or not isinstance(entry.unpacked_bytes, int):
        raise TypeError(f"the sizes of {entry.file} are no numbers")


def verify(folder: Path, made: Manifest, known: Iterable[str]) -> None:
    """Raises BackupError for a part that is missing, changed, unknown, or of a newer program."""
    for name, entry in made.parts.items():
        file = folder / entry.file
        if name not in known:
            raise BackupError(f"{folder} holds a part {name!r} that this checkout does not know")
        if not file.is_file():
            raise BackupError(f"{file} is missing: the backup is not whole, take another")
        now = describe(file, entry.unpacked_bytes)
        if now != entry:
            how = "size" if now.bytes != entry.bytes else "SHA-256"
            raise BackupError(f"{file} is damaged (its {how} changed): take another backup")
    here = versions()
    for name, version in made.versions.items():
        if name in made.parts and name in here and _number(version) > _number(here[name]):
            raise BackupError(
                f"the backup is of {name} {version}, this checkout runs {here[name]}, which may "
                "not read it: restore with the newer release"
            )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))
