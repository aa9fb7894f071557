"""The folders of instances: found again by their workers, removed when their master is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from telemetry import processes
from telemetry.environment import WrongEnvironmentError
from telemetry.metrics import store
from telemetry.metrics.process import cpu_seconds


def folder_of(pid: int, ticks: int, parent: Path) -> Path:
    folder = parent / f"instance-{pid}-{ticks}"
    folder.mkdir(parents=True)
    return folder


def test_the_folder_of_a_dead_master_is_removed(tmp_path: Path) -> None:
    dead = folder_of(2**22 + 7, 1, tmp_path)

    store.remove_dead(tmp_path)

    assert not dead.exists()


def test_the_folder_of_a_process_id_that_was_given_again_is_removed(tmp_path: Path) -> None:
    older = folder_of(os.getpid(), processes.start_ticks(os.getpid()) - 1, tmp_path)

    store.remove_dead(tmp_path)

    assert not older.exists()


def test_the_folder_of_a_living_master_stays(tmp_path: Path) -> None:
    living = folder_of(os.getpid(), processes.start_ticks(os.getpid()), tmp_path)

    store.remove_dead(tmp_path)

    assert living.exists()


def test_what_is_no_instance_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()

    store.remove_dead(tmp_path)

    assert (tmp_path / "precious").exists()


def test_an_inherited_variable_leads_to_the_parent_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "instance-12-34"))

    assert store.parent_folder() == tmp_path


def test_a_folder_that_cannot_be_written_stops_the_start_with_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file"))

    with pytest.raises(WrongEnvironmentError, match="PROMETHEUS_MULTIPROC_DIR"):
        store.Instance().share(os.getpid())


def test_a_link_that_somebody_laid_in_the_folders_place_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    ticks = processes.start_ticks(os.getpid())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"instance-{os.getpid()}-{ticks}").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(WrongEnvironmentError, match="one's own"):
        store.Instance().share(os.getpid())


def test_cpu_time_does_not_fall_when_a_child_ends() -> None:
    child = os.fork()
    if child == 0:
        sum(number * number for number in range(3_000_000))
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    before = cpu_seconds(os.getpid())

    os.waitpid(child, 0)

    assert cpu_seconds(os.getpid()) >= before


def test_a_process_that_is_gone_has_no_facts() -> None:
    gone = 2**22 + 7

    assert processes.stat(gone) is None
    assert not processes.alive(gone)
    assert processes.children(gone) == []
    assert processes.proportional_memory(gone) == 0
    assert processes.open_descriptors(gone) == 0
