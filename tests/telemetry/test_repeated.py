"""Which line is told for statements that run too often."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from telemetry.db.repeated import user_line


def line_below(script: Path) -> str:
    """The line told when ``script`` is the innermost frame that is no library's."""
    found: dict[str, object] = {"user_line": user_line}
    exec(compile("line = user_line()", str(script), "exec"), found)
    return str(found["line"])


def test_a_line_of_the_project_is_told() -> None:
    assert line_below(Path("/srv/shop/views.py")) == "/srv/shop/views.py:1 <module>"


def test_the_script_of_a_server_is_not_blamed() -> None:
    """The statements of an asynchronous view run below it, where no line of the view is."""
    script = Path(sysconfig.get_path("scripts")) / "gunicorn"

    assert line_below(script).startswith(__file__)
