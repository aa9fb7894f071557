from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from testing.servers import poll
from tools.local.layout import ROOT
from tools.local.parts import Part, rotate


def sleeper(tmp_path: Path, code: str = "import time; time.sleep(60)") -> Part:
    return Part("sleeper", [sys.executable, "-c", code], tmp_path / "log", "http://127.0.0.1:9/")


def test_a_part_that_ends_is_noticed_with_its_last_words(tmp_path: Path) -> None:
    part = sleeper(tmp_path, "print('no such port')")
    part.start()

    poll(lambda: not part.running(), 10, "the part did not end")

    assert part.last_words() == "no such port"


def test_waiting_ends_when_the_part_does(tmp_path: Path) -> None:
    part = sleeper(tmp_path, "raise SystemExit(1)")
    part.start()

    assert part.wait_until_ready(30) is False


def test_a_part_that_ignores_the_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    part = sleeper(tmp_path, code)
    part.start()
    child = int(poll(lambda: part.log.read_text().strip(), 10, "the part did not start"))

    part.stop(seconds=0.5)

    poll(lambda: not alive(child), 5, "the child is still there")


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] != "Z"


def test_no_part_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tools.local.parts import Part;"
        "command = [sys.executable, '-c', 'import time; time.sleep(60)'];"
        f"part = Part('sleeper', command, Path({str(tmp_path / 'log')!r}), '');"
        "part.start(); print(part.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())

        os.kill(supervisor.pid, signal.SIGKILL)

        poll(lambda: not alive(child), 5, "the part is an orphan")


def test_a_large_log_makes_room_and_is_kept_once(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with log.open("wb") as file:
        file.truncate(21 * 1024 * 1024)

    rotate(log)

    assert [file.name for file in tmp_path.iterdir()] == ["api.1.log"]
