from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools.local import runs
from tools.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "local")
    made.make()
    return made


def test_a_second_run_of_the_same_folder_is_refused(layout: Layout) -> None:
    with runs.take(layout):
        assert runs.take(layout) is None


def test_the_living_run_is_known_by_its_process(layout: Layout) -> None:
    with runs.take(layout):
        assert runs.supervisor(layout) == os.getpid()


def test_a_file_that_a_killed_run_left_is_no_obstacle(layout: Layout) -> None:
    layout.lock.write_text("1")

    assert runs.supervisor(layout) is None
    with runs.take(layout) as lock:
        assert lock is not None


def test_a_state_file_cut_short_is_no_state(layout: Layout) -> None:
    layout.state.write_text('{"ports": ')

    assert runs.read_state(layout.state) == {}
