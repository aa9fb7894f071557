"""The folders of instances: found again by their workers, removed when their master is gone."""

from __future__ import annotations

import os
import pwd
import resource
import signal
import tempfile
from pathlib import Path

import pytest

from telemetry import processes
from telemetry.environment import WrongEnvironmentError
from telemetry.metrics import store
from telemetry.metrics.directory import Series
from telemetry.metrics.process import cpu_seconds
from tests.conftest import samples

HITS = Series("store_hits", "counter", "", "Hits.", "_total", (), ())


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


def test_the_folder_of_an_instance_whose_master_is_out_of_sight_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two containers with one folder: each has process ids of its own."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        store.Instance().share(os.getpid())
        os.write(writing, b"shared")
        signal.pause()
    assert os.read(reading, 10) == b"shared"
    (folder,) = tmp_path.iterdir()
    monkeypatch.setattr(processes, "is_same", lambda _pid, _ticks: False)

    store.remove_dead(tmp_path)
    assert folder.exists()

    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    store.remove_dead(tmp_path)
    assert not folder.exists()
    for descriptor in (reading, writing):
        os.close(descriptor)


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
    name = "-".join(["instance", str(os.getpid()), str(ticks), *store.place()])
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(WrongEnvironmentError, match="one's own"):
        store.Instance().share(os.getpid())


def count_hit() -> None:
    # A new series may need other memory: its slot comes before the cells.
    slot = store.store.slot(HITS)
    store.store.cells[slot] += 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_workers_of_another_user_share_their_masters_folder(
    monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """gunicorn's `user`: the master stays root, and its workers do not."""
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", f"{parent}/metrics")
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.umask(umask)
                store.instance.share(os.getpid())
                count_hit()
                code = max(_work_as(nobody) for _ in range(2))
            finally:
                # Whatever was raised: the child must not go on with the tests.
                os._exit(code)
        _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def _work_as(nobody: pwd.struct_passwd) -> int:
    """A worker's life: 0 when it counted, led, folded the dead and saw what all others counted."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            instance = store.instance
            instance.give_to(nobody.pw_uid, nobody.pw_gid)
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            count_hit()
            instance.add_worker()
            led = instance.lead()
            instance.fold()
            text, _ = instance.reader().read(openmetrics=False, exemplar_age=0)
            seen = samples(text)[("store_hits_total", frozenset())]
            dead = len(list((instance.folder or Path()).glob("process-*.names"))) - 2
            code = 0 if led and dead == 0 and seen in {2, 3} and instance.workers() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_worker_that_began_without_room_gets_its_files_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            store.instance.share(os.getpid())
            count_hit()
            began = store.store.path
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            )
            store.instance.keep_up()
            text, _ = store.instance.reader().read(openmetrics=False, exemplar_age=0)
            seen = samples(text)["store_hits_total", frozenset()]
            code = 0 if began is None and store.store.path is not None and seen == 1 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_who_may_not_enter_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o700)
    made = store.Instance()
    made.folder = tmp_path / "metrics" / "instance-1-1"
    made.folder.mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_given: None)

    made.give_to(1234, 1234)

    assert str(tmp_path) in caplog.text


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
