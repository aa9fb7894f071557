"""The secrets of the local run: generated once, kept in a file that git ignores."""

from __future__ import annotations

import secrets
from pathlib import Path

NAMES = ("DJANGO_SECRET_KEY", "DEMO_PASSWORD", "DEMO_ADMIN_PASSWORD", "LOGIN_PROBE_TOKEN")
#: Those that must have 32 characters or more.
_LONG = {"DJANGO_SECRET_KEY", "LOGIN_PROBE_TOKEN"}


def load(file: Path) -> dict[str, str]:
    """The secrets of ``file``; what is missing there is generated and added."""
    found = read(file)
    missing = [name for name in NAMES if not found.get(name)]
    if missing:
        for name in missing:
            found[name] = secrets.token_urlsafe(48 if name in _LONG else 12)
        unfinished = file.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_text("".join(f"{name}={value}\n" for name, value in found.items()))
        unfinished.replace(file)
    return found


def read(file: Path) -> dict[str, str]:
    """What stands in ``file``; lines that are no ``NAME=value`` are left out."""
    if not file.is_file():
        return {}
    file.chmod(0o600)
    pairs = (line.partition("=") for line in file.read_text().splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
