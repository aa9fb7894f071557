"""What happens to a store's files from outside: nobody sees its processes, a cleaner removes it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from telemetry import processes
from telemetry.metrics import store as stores
from telemetry.metrics.folding import fold
from telemetry.metrics.slots import ValueStore
from testing.servers import ROOT, Server, gunicorn, poll
from tests.conftest import samples
from tests.telemetry.test_metric_store import HITS, Instance, add, killed

HIT = ("their_hits_total", frozenset({("page", "a")}))


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path)


def in_namespaces(*wanted: str) -> list[str]:
    """A command in front of another one; skips where this user may not make namespaces."""
    command = ["unshare", *wanted, "true"]
    if shutil.which("unshare") is None or subprocess.run(command, check=False).returncode:
        pytest.skip(f"this user cannot make namespaces (unshare {' '.join(wanted)})")
    return ["unshare", *wanted]


WRITER = """
import os, sys, pathlib
from telemetry.metrics.directory import Series
from telemetry.metrics.slots import ValueStore
store = ValueStore()
assert store.open(pathlib.Path(sys.argv[1]) / f"process-{os.getpid()}-of0another")
store.cells[store.slot(Series("hits", "counter", "", "Hits.", "_total", ("page",), ("a",)))] += 5
store.cells[store.slot(Series("level_livemax", "gauge", "livemax", "Level.", "", (), ()))] = 7
print(os.getpid(), flush=True)
sys.stdin.read()
"""


def test_a_process_in_another_container_lives_until_its_lock_is_gone(instance: Instance) -> None:
    command = in_namespaces("--pid", "--fork", "--kill-child")
    add(HITS, 1)(instance.store)
    writer = subprocess.Popen(
        [*command, sys.executable, "-c", WRITER, str(instance.folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout
    assert writer.stdin
    # It is process 1 there, which is another process here.
    assert writer.stdout.readline() == "1\n"
    try:
        for _ in range(3):
            fold(instance.folder, instance.store)
            assert instance.value("hits_total", page="a") == 6
            assert instance.value("level_livemax") == 7
        assert len(list(instance.folder.glob("process-*.names"))) == 2
    finally:
        writer.stdin.close()
        writer.wait(20)
        writer.stdout.close()

    assert instance.value("hits_total", page="a") == 6
    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 6
    assert "level_livemax" not in instance.text()
    assert len(list(instance.folder.glob("process-*.names"))) == 1


HIDDEN = """
import json, os, pwd, signal, sys, time
from telemetry.metrics import store as stores
from telemetry.metrics.directory import Series
from telemetry.metrics.exposition import scrape
from tests.conftest import samples

HITS = Series("hits", "counter", "", "Hits.", "_total", (), ())
LEVEL = Series("level", "gauge", "livesum", "Level.", "", (), ())
nobody = pwd.getpwnam("nobody")
instance, store = stores.instance, stores.store
instance.share(os.getpid())
reading, writing = os.pipe()

def worker(user, stays):
    pid = os.fork()
    if pid == 0:
        instance.add_worker()
        instance.give_to(nobody.pw_uid, nobody.pw_gid)
        os.setgid(user)
        os.setuid(user)
        store.cells[store.slot(HITS)] += 1
        store.cells[store.slot(LEVEL)] = 1
        os.write(writing, b".")
        stays()
        os._exit(0)
    assert os.read(reading, 1) == b"."
    return pid

def look():
    assert not os.path.exists(f"/proc/{os.getppid()}/stat"), "the master can be seen"
    for _ in range(3):
        instance.fold()
        instance.keep_up()
        found = samples(instance.reader().read(openmetrics=False, exemplar_age=0)[0])
        values = {name: value for (name, _), value in found.items()}
    values["workers"] = len(instance.workers())
    values["files"] = len([name for name in os.listdir(instance.folder) if name.endswith(".names")])
    print(json.dumps(values), flush=True)

first = worker(nobody.pw_uid, signal.pause)
worker(nobody.pw_uid + 1, signal.pause)
os.waitpid(worker(nobody.pw_uid, look), 0)
os.kill(first, signal.SIGKILL)
os.waitpid(first, 0)
os.waitpid(worker(nobody.pw_uid, look), 0)
"""


def test_processes_that_hidepid_hides_are_no_ended_ones(tmp_path: Path) -> None:
    """The master is root and its workers are other users, of which each sees its own processes."""
    if os.geteuid() != 0:
        pytest.skip("only root can hide processes")
    script = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    command = [*in_namespaces("--mount", "--pid", "--fork", "--kill-child"), "sh", "-c", script]
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run(
        [*command, "sh", sys.executable, "-c", HIDDEN],
        cwd=ROOT,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    before, after = [json.loads(line) for line in done.stdout.splitlines()]

    # The master's files, and those of three workers; a file of another user can be read.
    assert before == {"hits_total": 3, "level": 3, "workers": 3, "files": 4}
    # Two were killed or ended: what they counted stays.
    assert after == {"hits_total": 4, "level": 2, "workers": 2, "files": 3}


def test_a_forked_child_does_not_keep_its_parent_alive(instance: Instance) -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        store = ValueStore()
        store.open(instance.folder / f"process-{os.getpid()}-parent")
        add(HITS, 5)(store)
        if os.fork() == 0:
            store.begin_in_child(instance.folder / f"process-{os.getpid()}-child")
            add(HITS, 2)(store)
            os.write(writing, f"{os.getpid()} ".encode())
            signal.pause()
        signal.pause()
    child = int(os.read(reading, 20))
    assert instance.value("hits_total", page="a") == 7
    try:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        fold(instance.folder, instance.store)

        assert instance.value("hits_total", page="a") == 7
        assert not list(instance.folder.glob(f"process-{parent}-*"))
        assert list(instance.folder.glob(f"process-{child}-*"))
    finally:
        os.kill(child, signal.SIGKILL)
    poll(lambda: not processes.alive(child), 10, "the child stayed")


def test_a_process_id_that_comes_again_is_another_process(instance: Instance) -> None:
    """As in containers that begin with process 1 each time, with one folder on a shared volume."""
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            store = ValueStore()
            assert store.open(instance.folder / f"process-1-{number}abc")
            add(HITS, 2)(store)
            killed()
        os.waitpid(pid, 0)
    assert instance.value("hits_total", page="a") == 6
    fold(instance.folder, instance.store)

    assert instance.value("hits_total", page="a") == 6


@pytest.mark.timeout(20)
def test_what_is_no_file_holds_nobody_up(instance: Instance) -> None:
    add(HITS, 1)(instance.store)
    instance.process(add(HITS, 2), end=killed)
    folder = instance.folder
    for name in ("process-1-ab.names", "process-1-ab.slots", "worker-1-ab", "master-1-1-ab"):
        os.mkfifo(folder / name)
    for name in ("process-2-ab.names", "process-2-ab.slots", "worker-2-ab", "master-2-2-ab"):
        (folder / name).mkdir()
    (folder / "process-3-ab.names").symlink_to("/dev/zero")
    shared = stores.Instance()
    shared.folder = folder

    for _ in range(2):
        assert instance.value("hits_total", page="a") == 3
        fold(folder, instance.store)
        assert shared.workers() == []
        assert shared.masters() == [os.getpid()]


# A cleaner of temporary files


@pytest.fixture
def server(servers_database: str) -> Iterator[Server]:
    started = Server(
        gunicorn("gthread", workers=3),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.scrape_view",
        },
    )
    yield started
    started.stop()


def remove_all(folder: Path) -> None:
    shutil.rmtree(folder)


def remove_parents(folder: Path) -> None:
    shutil.rmtree(folder.parent)


def remove_some(folder: Path) -> None:
    """Every other file, as a cleaner does that looks at ages."""
    for path in sorted(folder.iterdir())[::2]:
        path.unlink()


def remove_values(folder: Path) -> None:
    for path in folder.glob("*.slots"):
        path.unlink()


@pytest.mark.servers
@pytest.mark.parametrize("clean", [remove_all, remove_parents, remove_some, remove_values])
def test_files_that_a_cleaner_removes_come_back(
    server: Server, clean: Callable[[Path], None]
) -> None:
    (folder,) = (server.folder / "metrics").glob("instance-*")
    counted = count(server, 60)
    # What an ended worker counted is in the remainder.
    os.kill(processes.children(server.process.pid)[0], signal.SIGKILL)
    poll(lambda: (folder / "remainder").exists() and len(server.workers()) == 3, 30, "no fold")
    # Each worker has looked at the folder since.
    time.sleep(6)
    seen: list[float] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            # The worker that is killed may have had the connection.
            with suppress(requests.ConnectionError):
                seen.append(samples(server.scrape()).get(HIT, 0.0))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        clean(folder)
        counted += count(server, 20)
        poll(lambda: restored(folder), 15, "the files did not come back")
        counted += count(server, 20)
        os.kill(processes.children(server.process.pid)[0], signal.SIGKILL)
        counted += count(server, 20)
        time.sleep(6)
    finally:
        done.set()
        looking.join()

    assert seen == sorted(seen)
    text = server.scrape()
    assert samples(text)[HIT] == counted
    assert "build_info{" in text
    told = [
        line
        for line in server.log_lines()
        if line["level"] in {"warning", "error"} and line["logger"].startswith("telemetry.")
    ]
    assert len(told) == 1, told
    assert "were removed" in told[0]["message"]
    assert server.folder.as_posix() in told[0]["message"]


def count(server: Server, requests: int) -> int:
    for _ in range(requests):
        # A worker may be killed with the connection in its hands.
        poll(lambda: _asked(server), 10, "no answer")
    return requests


def _asked(server: Server) -> bool:
    with suppress(requests.ConnectionError):
        return server.get("/count/?page=a").status_code == 200
    return False


def restored(folder: Path) -> bool:
    """The files of the three workers; the master looks at nothing, and is read where it stood."""
    names = list(folder.glob("process-*.names"))
    written = [path for path in names if path.with_suffix(".slots").exists()]
    return len(written) >= 3 and len(list(folder.glob("worker-*"))) >= 3
