"""A backup that cannot be made or trusted is refused in one line, and nothing is half done."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from testing.servers import poll
from tools.backup import manifest, parts
from tools.backup import restore as restoring
from tools.backup import save as saving
from tools.backup.errors import BackupError
from tools.backup.jaeger import copy, held
from tools.backup.restore import restore
from tools.backup.save import save
from tools.backup.secret_file import load as load_secrets
from tools.backup.secret_file import save as save_secrets
from tools.local import runs
from tools.local.layout import ROOT, Layout

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "local")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup of files alone, for what needs no servers."""
    monkeypatch.setattr(
        parts, "PARTS", {"secrets": parts.PARTS["secrets"], "grafana": parts.PARTS["grafana"]}
    )
    monkeypatch.setattr(saving, "PARTS", parts.PARTS)
    monkeypatch.setattr(restoring, "PARTS", parts.PARTS)


@pytest.fixture
def backup(layout: Layout, small: None) -> Path:
    target = layout.folder.parent / "backup"
    layout.make()
    layout.secrets.write_text("DEMO_PASSWORD=before\n")
    with running(layout):
        save(layout, target)
    shutil.rmtree(layout.folder)
    return target


def running(layout: Layout, **state: Any) -> Any:
    """The lock and the state of a run without its processes."""
    lock = runs.take(layout)
    assert lock is not None
    default = {"ports": {}, "stack": False, "database_port": None, "processes": {}}
    runs.write_state(layout, default | state)
    return lock


def change(backup: Path, changed: Change) -> None:
    file = backup / manifest.NAME
    content = json.loads(file.read_text())
    changed(content)
    file.write_text(json.dumps(content))


def test_it_comes_back_as_it_was(layout: Layout, backup: Path) -> None:
    restore(backup, layout)

    assert layout.secrets.read_text() == "DEMO_PASSWORD=before\n"
    assert layout.secrets.stat().st_mode & 0o777 == 0o600
    assert sorted(each.name for each in layout.folder.iterdir()) == [
        "grafana",
        "run",
        "secrets.env",
    ]
    assert [each.name for each in layout.folder.parent.iterdir()] == ["backup", "local"]


def test_nobody_else_may_read_it(backup: Path) -> None:
    assert backup.stat().st_mode & 0o077 == 0


def test_without_a_run_there_is_nothing_to_save(layout: Layout) -> None:
    with pytest.raises(BackupError, match=r"nothing runs with .*: make up starts it"):
        save(layout, layout.folder / "backup")


def test_a_run_that_lacks_a_part_is_not_saved(layout: Layout) -> None:
    layout.make()

    with running(layout, stack=True), pytest.raises(BackupError, match="prometheus does not run"):
        save(layout, layout.folder / "backup")


def test_a_folder_that_is_there_is_not_written_over(layout: Layout, backup: Path) -> None:
    layout.make()

    with running(layout), pytest.raises(BackupError, match=r"is there already: TO=… names another"):
        save(layout, backup)


def test_a_full_disk_leaves_no_backup(
    layout: Layout, small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "grafana.tar.gz")

    layout.make()
    layout.secrets.touch()
    monkeypatch.setitem(
        parts.PARTS, "grafana", parts.Part("grafana.tar.gz", full, load_secrets, "grafana")
    )
    monkeypatch.setenv("LOCAL_DIR", str(layout.folder))
    monkeypatch.setenv("TO", str(layout.folder / "backup"))
    with running(layout):
        status = saving.main()

    assert status == 1
    assert "make backup: the disk is full (grafana.tar.gz)" in capsys.readouterr().out
    assert not list(layout.folder.glob("backup*"))


def test_restoring_needs_the_room(
    layout: Layout, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage(free=10))

    with pytest.raises(BackupError, match=r"the disk is too full: .* are needed"):
        restore(backup, layout)


def test_a_folder_that_is_not_there_is_named(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"there is no folder .*/nowhere"):
        restore(tmp_path / "nowhere", layout)


def test_a_folder_that_is_no_backup_is_named(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"is no backup: it has no manifest.json"):
        restore(tmp_path, layout)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 1, "parts": {"a": 1}}'])
def test_a_damaged_manifest_is_refused(layout: Layout, backup: Path, content: str) -> None:
    (backup / manifest.NAME).write_text(content)

    with pytest.raises(BackupError, match=r"manifest.json is damaged \(.*\): take another backup"):
        restore(backup, layout)
    assert not layout.folder.exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda it: it.update(format=0), "is a backup of format 0, this checkout reads 1"),
        (lambda it: it.update(format=2), "is a backup of format 2, this checkout reads 1"),
        (lambda it: it["parts"]["secrets"].update(file="../x"), "is damaged .*not a plain file"),
        (lambda it: it["parts"]["secrets"].update(bytes="1"), "is damaged .*no numbers"),
        (lambda it: it["parts"]["secrets"].update(file="gone"), "gone is missing"),
        (lambda it: it["parts"].update(wiki=it["parts"]["secrets"]), "does not know"),
    ],
)
def test_what_this_code_cannot_read_is_refused(
    layout: Layout, backup: Path, changed: Change, said: str
) -> None:
    change(backup, changed)

    with pytest.raises(BackupError, match=said):
        restore(backup, layout)
    assert not layout.folder.exists()


def test_data_of_a_newer_program_are_refused(backup: Path) -> None:
    made = manifest.read(backup)
    made.parts["prometheus"] = made.parts["secrets"]
    made.versions["prometheus"] = "3.99.0"

    with pytest.raises(BackupError, match=r"is of prometheus 3.99.0, this checkout runs 3.16.0"):
        manifest.verify(backup, made, {"secrets", "grafana", "prometheus"})


@pytest.mark.parametrize(("content", "how"), [(b"x", "size"), (b"DEMO_PASSWORD=befure\n", "SHA")])
def test_a_changed_file_is_refused(layout: Layout, backup: Path, content: bytes, how: str) -> None:
    (backup / "secrets.env").write_bytes(content)

    with pytest.raises(BackupError, match=rf"secrets.env is damaged \(its {how}"):
        restore(backup, layout)
    assert not layout.folder.exists()


def test_a_state_is_kept_unless_told_and_then_kept_aside(layout: Layout, backup: Path) -> None:
    layout.make()
    layout.secrets.write_text("DEMO_PASSWORD=now\n")

    with pytest.raises(
        BackupError, match="holds secrets already: make clean removes them, FORCE=1"
    ):
        restore(backup, layout)
    assert layout.secrets.read_text() == "DEMO_PASSWORD=now\n"

    restore(backup, layout, force=True)
    assert layout.secrets.read_text() == "DEMO_PASSWORD=before\n"
    (kept,) = layout.folder.glob("replaced-*/secrets.env")
    assert kept.read_text() == "DEMO_PASSWORD=now\n"


def test_a_restore_that_fails_leaves_all_as_it_was(
    layout: Layout, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise BackupError("no")

    monkeypatch.setitem(
        parts.PARTS, "grafana", parts.Part("grafana.tar.gz", save_secrets, fails, "grafana")
    )
    layout.make()
    layout.secrets.write_text("DEMO_PASSWORD=now\n")

    with pytest.raises(BackupError):
        restore(backup, layout, force=True)

    assert layout.secrets.read_text() == "DEMO_PASSWORD=now\n"
    assert sorted(each.name for each in layout.folder.parent.iterdir()) == ["backup", "local"]


def test_a_restore_that_was_killed_is_begun_anew_but_what_it_moved_is_not_lost(
    layout: Layout, backup: Path
) -> None:
    beside = layout.folder.with_name("local.restoring")
    (beside / "replaced").mkdir(parents=True)

    with pytest.raises(BackupError, match="is left of a restore that was killed at its last step"):
        restore(backup, layout)

    (beside / "restore-is-not-finished").touch()
    restore(backup, layout)
    assert not beside.exists()
    assert layout.secrets.is_file()


def test_a_run_that_lives_is_not_restored_over(layout: Layout, backup: Path) -> None:
    layout.make()

    with running(layout), pytest.raises(BackupError, match=r"still running .*: make down first"):
        restore(backup, layout)


def test_restoring_without_a_name_says_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FROM", raising=False)

    assert restoring.main() == 2
    assert "make restore FROM=" in capsys.readouterr().out


def test_the_holes_of_files_are_copied_as_holes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "keys").mkdir(parents=True)
    (source / "LOCK").touch()
    (source / "keys" / "empty").touch()
    with (source / "values").open("wb") as file:
        file.write(b"begin")
        file.seek(64 * 1024 * 1024)
        file.write(b"middle")
        file.truncate(2 * 1024 * 1024 * 1024)

    copy(source, tmp_path / "target")

    copied = (tmp_path / "target" / "values").stat()
    assert copied.st_size == 2 * 1024 * 1024 * 1024
    assert copied.st_blocks * 512 < 1024 * 1024
    with (tmp_path / "target" / "values").open("rb") as file:
        assert file.read(5) == b"begin"
        file.seek(64 * 1024 * 1024)
        assert file.read(7) == b"middle\0"
    assert (tmp_path / "target" / "keys" / "empty").read_bytes() == b""
    assert not (tmp_path / "target" / "LOCK").exists()


def test_jaeger_goes_on_though_the_backup_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "jaeger"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    code = (
        "import sys, time; from tools.backup.jaeger import held\n"
        "with held(int(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([program, "60"]) as jaeger:
        try:
            with subprocess.Popen(
                [sys.executable, "-c", code, str(jaeger.pid)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            ) as backup:
                assert backup.stdout is not None
                assert backup.stdout.readline() == "held\n"
                assert psutil.Process(jaeger.pid).status() == psutil.STATUS_STOPPED

                os.kill(backup.pid, signal.SIGKILL)

            poll(
                lambda: psutil.Process(jaeger.pid).status() == psutil.STATUS_SLEEPING,
                10,
                "it is still held",
            )
        finally:
            jaeger.kill()


def test_another_process_is_not_held() -> None:
    with pytest.raises(BackupError, match="is python"), held(os.getpid()):
        pass
