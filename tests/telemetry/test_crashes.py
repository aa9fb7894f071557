"""Workers that end unasked are counted, those that are recycled or replaced are not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from telemetry import processes
from testing.servers import Server, gunicorn, poll, uvicorn
from tests.conftest import samples

SITE = "tests.telemetry.site.settings"
CRASHES = ("process_worker_crashes_total", frozenset())
STARTS = ("process_worker_starts_total", frozenset())


def serve(command: Callable[[int], list[str]], database: str) -> Server:
    return Server(command, {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": SITE})


def counted(server: Server, key: tuple[str, frozenset[tuple[str, str]]]) -> float:
    """A scrape may meet the worker that is ending."""
    with suppress(requests.ConnectionError):
        return samples(server.scrape())[key]
    return -1


@pytest.fixture(params=["gunicorn", "uvicorn"])
def two_workers(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    server = serve({"gunicorn": gunicorn(), "uvicorn": uvicorn()}[request.param], servers_database)
    poll(lambda: len(server.workers()) == 2, 20, "not every worker came")
    yield server
    server.stop()


@pytest.mark.servers
def test_a_killed_worker_is_counted_once(two_workers: Server) -> None:
    server = two_workers
    assert counted(server, CRASHES) == 0

    for times in (1, 2):
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        poll(
            lambda gone=victim: gone not in server.workers() and len(server.workers()) == 2,  # type: ignore[misc]
            20,
            "no new worker",
        )
        poll(lambda count=times: counted(server, CRASHES) == count, 10, "not counted")  # type: ignore[misc]

    assert [counted(server, CRASHES) for _ in range(10)] == [2] * 10


@pytest.mark.servers
def test_new_workers_on_request_are_no_crashes(servers_database: str) -> None:
    server = serve(gunicorn(), servers_database)
    try:
        poll(lambda: len(server.workers()) == 2, 20, "not every worker came")
        before = set(server.workers())

        server.process.send_signal(signal.SIGHUP)
        poll(lambda: not before & set(server.workers()), 30, "the old workers are there")
        poll(lambda: counted(server, STARTS) == 4, 10, "four were not started")

        assert counted(server, CRASHES) == 0
    finally:
        server.stop()


@pytest.mark.servers
def test_workers_that_are_recycled_are_no_crashes(servers_database: str) -> None:
    command = gunicorn()
    server = serve(lambda port: [*command(port), "--max-requests", "5"], servers_database)
    try:

        def recycled() -> bool:
            with suppress(requests.ConnectionError):
                server.get("/hello/")
            return counted(server, STARTS) >= 6

        poll(recycled, 60, "no worker was recycled")

        assert poll(lambda: counted(server, CRASHES) + 1, 10, "no answer") == 1
    finally:
        server.stop()


MACHINE = "MemTotal:       24684096 kB\n"
UNLIMITED_V1 = "9223372036854771712\n"


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        ("0::/\n", {}, 24684096 * 1024),
        ("0::/\n", {"memory.max": "536870912\n"}, 536870912),
        ("0::/\n", {"memory.max": "max\n"}, 24684096 * 1024),
        (
            "0::/system.slice/api.service\n",
            {
                "system.slice/api.service/memory.max": "max\n",
                "system.slice/memory.max": "1073741824\n",
            },
            1073741824,
        ),
        # The path of the host, as a container without a namespace of its own for groups sees it.
        ("0::/docker/0f9b\n", {"memory.max": "268435456\n"}, 268435456),
        (
            "5:cpu,cpuacct:/docker/0f9b\n4:memory:/docker/0f9b\n0::/\n",
            {"memory/memory.limit_in_bytes": "268435456\n"},
            268435456,
        ),
        (
            "4:memory:/a/b\n",
            {
                "memory/a/b/memory.limit_in_bytes": "300000000\n",
                "memory/memory.limit_in_bytes": UNLIMITED_V1,
            },
            300000000,
        ),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED_V1}, 24684096 * 1024),
    ],
)
def test_the_memory_limit_is_the_least_of_all_that_hold(
    tmp_path: Path, group: str, files: dict[str, str], limit: int
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(group)
    (proc / "meminfo").write_text(f"{MACHINE}MemFree:  1 kB\n")
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)

    assert processes.memory_limit(proc, groups) == limit


def test_without_proc_the_limit_is_unknown(tmp_path: Path) -> None:
    assert processes.memory_limit(tmp_path / "none", tmp_path / "nothing") == 0


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A memory group of our own under version 1 or 2, where we may make one."""
    unified = (processes.CGROUPS / "cgroup.controllers").exists()
    parent = processes.CGROUPS if unified else processes.CGROUPS / "memory"
    group = parent / f"telemetry-test-{os.getpid()}"
    try:
        group.mkdir()
        name = "memory.max" if unified else "memory.limit_in_bytes"
        (group / name).write_text(str(600 * 2**20))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group may be made here: {error}")
    yield group
    poll(lambda: not (group / "cgroup.procs").read_text(), 10, "processes are left in the group")
    group.rmdir()


@pytest.mark.servers
def test_the_scrape_shows_the_limit_of_the_container(
    control_group: Path, servers_database: str
) -> None:
    command = gunicorn()
    enter = f'echo $$ > "{control_group}/cgroup.procs" && exec "$@"'
    server = serve(lambda port: ["bash", "-c", enter, "enter", *command(port)], servers_database)
    try:
        key = ("process_memory_limit_bytes", frozenset[tuple[str, str]]())
        limit = poll(lambda: samples(server.scrape()).get(key), 20, "it was not measured")
    finally:
        server.stop()

    assert limit == 600 * 2**20
