from __future__ import annotations

import stat
from pathlib import Path

from tools.local import credentials


def test_secrets_are_generated_once(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"

    first, second = credentials.load(file), credentials.load(file)

    assert first == second
    assert all(len(first[name]) >= 12 for name in credentials.NAMES)


def test_nobody_else_can_read_the_file(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"

    credentials.load(file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_cut_short_is_completed_and_keeps_what_it_has(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("DEMO_PASSWORD=mine\nDJANGO_SECRET")

    found = credentials.load(file)

    assert found["DEMO_PASSWORD"] == "mine"
    assert len(found["DJANGO_SECRET_KEY"]) >= 32
