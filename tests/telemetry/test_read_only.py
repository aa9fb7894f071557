"""Containers whose root file system cannot be written, without a folder for temporary files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from testing.servers import ROOT, Server, gunicorn, poll
from tests.conftest import samples
from tests.telemetry.test_store_survival import in_namespaces

pytestmark = pytest.mark.servers

HIT = ("their_hits_total", frozenset({("page", "a")}))
READ_ONLY = "mount -o remount,bind,ro /"
NO_MEMORY = "mount -t tmpfs -o ro none /dev/shm"
WRITABLE = "mount -t tmpfs none /mnt && mkdir /mnt/heartbeat"


def inside(command: Callable[[int], list[str]], *mounts: str) -> Callable[[int], list[str]]:
    """The command in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    script = " && ".join([*mounts, 'exec "$@"'])
    before = [*in_namespaces("--mount"), "sh", "-c", script, "sh"]
    return lambda port: [*before, *command(port)]


def environment(database: str, **more: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database,
        "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.scrape_view",
        "PROMETHEUS_MULTIPROC_DIR": "",
        "TMPDIR": "",
        **more,
    }


def counted_by_two(server: Server) -> float:
    workers: dict[str, int] = {}

    def both() -> bool:
        pid = server.get("/count/?page=a").text
        workers[pid] = workers.get(pid, 0) + 1
        # Told apart by what each counted.
        return len(workers) == 2 and len(set(workers.values())) == 2

    poll(both, 30, "one worker answered all")
    return sum(workers.values())


def warnings(server: Server) -> list[str]:
    return [line["message"] for line in server.log_lines() if line["level"] == "warning"]


def test_memory_is_enough(servers_database: str) -> None:
    server = Server(inside(gunicorn(), READ_ONLY), environment(servers_database))
    try:
        counted = counted_by_two(server)

        assert [samples(server.scrape())[HIT] for _ in range(4)] == [counted] * 4
        assert warnings(server) == []
    finally:
        server.stop()


def test_the_variable_names_the_one_folder_that_can_be_written(servers_database: str) -> None:
    server = Server(
        inside(gunicorn(), WRITABLE, NO_MEMORY, READ_ONLY),
        environment(servers_database, PROMETHEUS_MULTIPROC_DIR="/mnt"),
    )
    try:
        counted = counted_by_two(server)

        assert [samples(server.scrape())[HIT] for _ in range(4)] == [counted] * 4
        assert warnings(server) == []
    finally:
        server.stop()


def test_without_any_folder_each_worker_shows_its_own(servers_database: str) -> None:
    by_the_docs = gunicorn("sync", settings="tests/telemetry/site/gunicorn.conf.py")
    command = inside(
        lambda port: [*by_the_docs(port), "--worker-tmp-dir", "/mnt/heartbeat"],
        WRITABLE, NO_MEMORY, READ_ONLY,
    )  # fmt: skip
    server = Server(command, environment(servers_database))
    try:
        counted = counted_by_two(server)
        seen: set[float] = set()

        def both_seen() -> bool:
            seen.add(samples(server.scrape()).get(HIT, 0.0))
            return len(seen) == 2

        poll(both_seen, 30, "one worker answered all")
        assert sum(seen) == counted
        found = warnings(server)
        assert len(found) == 1, found
        assert "PROMETHEUS_MULTIPROC_DIR" in found[0]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("more", "name"),
    [({}, "TMPDIR"), ({"PROMETHEUS_MULTIPROC_DIR": "/srv/metrics"}, "PROMETHEUS_MULTIPROC_DIR")],
)
def test_a_start_that_cannot_be_says_which_variable(
    servers_database: str, more: dict[str, str], name: str
) -> None:
    mounts = [READ_ONLY] if more else [NO_MEMORY, READ_ONLY]
    done = subprocess.run(
        inside(gunicorn(), *mounts)(0),
        cwd=ROOT,
        env={**os.environ, **environment(servers_database), "PROMETHEUS_PORT": "0", **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    told = (done.stdout + done.stderr).strip().splitlines()
    assert len(told) == 1, told
    assert f"environment: {name} must name a folder" in told[0]
