from __future__ import annotations

from pathlib import Path

import pytest

from testing.postgres import free_port
from tools.local import stack
from tools.local.layout import PORTS, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path, {name: free_port() for name in PORTS})
    made.make()
    return made


def test_without_go_each_missing_part_is_named_with_the_command_that_brings_it(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("EXPENSE_TRACKER_TOOLS", str(layout.folder / "empty"))
    made = stack.Stack(layout, print)

    made.start()
    made.stop()

    assert set(made.missing) == {"alertmanager", "prometheus", "jaeger"}
    for name, why in made.missing.items():
        assert "Go is not installed" in why
        assert f"docker compose -f monitoring/docker-compose.yml up -d {name}" in why


def test_a_program_that_cannot_be_started_is_a_line_and_no_more(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = layout.folder / "tools"
    for program in stack.PROGRAMS:
        file = tools / f"{program.tool}-{program.release}" / program.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("no program")
    monkeypatch.setenv("EXPENSE_TRACKER_TOOLS", str(tools))
    said: list[str] = []
    made = stack.Stack(layout, said.append)

    made.start()
    made.stop()

    assert set(made.missing) == {"alertmanager", "prometheus", "jaeger"}
    assert all("could not be started" in line for line in said)
