"""The service behind a real PgBouncer in transaction mode, where one is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
import requests

from testing.postgres import USER, Postgres, discard, free_port, let_through, temporary
from testing.servers import Server, gunicorn, poll
from tests.expenses.factories import body
from tests.expenses.service import EXPENSES, seed, start, token

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"),
]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = temporary()
    seed(server.url())
    yield server
    discard(server)


@pytest.fixture(scope="module")
def pooled(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the database through PgBouncer."""
    folder = tmp_path_factory.mktemp("pgbouncer")
    port = free_port()
    lines = [
        "[databases]",
        f"expenses = host=127.0.0.1 port={postgres.port} user={USER} password={postgres.password}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        "pool_mode = transaction",
        "default_pool_size = 4",
    ]
    configuration = folder / "pgbouncer.ini"
    configuration.write_text("\n".join(lines))
    as_nobody = {}
    if os.geteuid() == 0:  # it refuses to run as root
        let_through(configuration)
        folder.chmod(0o755)
        as_nobody = {"user": "nobody", "group": "nogroup"}
    with Path(folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(PGBOUNCER), str(configuration)],
            stdout=log,
            stderr=log,
            **as_nobody,  # type: ignore[call-overload]
        )
    url = f"postgresql://{USER}@127.0.0.1:{port}/expenses"

    def answers() -> bool:
        try:
            psycopg.connect(url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        poll(answers, 10, "pgbouncer did not answer")
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def service(pooled: str) -> Iterator[Server]:
    server = start(gunicorn(workers=2), pooled, DATABASE_BEHIND_PGBOUNCER="1")
    yield server
    server.stop()


def test_many_requests_at_once_work(service: Server) -> None:
    login = token(service)

    def one(number: int) -> list[int]:
        made = requests.post(
            service.url(EXPENSES), json=body(title=f"T{number}"), headers=login, timeout=20
        )
        read = service.get(EXPENSES, headers=login)
        return [made.status_code, read.status_code]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [[201, 200]] * 40


def test_the_timeouts_of_the_role_hold(postgres: Postgres, service: Server) -> None:
    login = token(service)
    with psycopg.connect(postgres.url(), autocommit=True) as session:
        session.execute(f"ALTER ROLE {USER} SET lock_timeout = '1s'")
        session.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = 'expenses' AND pid <> pg_backend_pid()"
        )

    poll(
        lambda: service.get(EXPENSES, headers=login).status_code == 200, 20, "it did not come back"
    )
    with psycopg.connect(postgres.url()) as session:
        session.execute("LOCK TABLE expenses_expense IN ACCESS EXCLUSIVE MODE")
        answer = service.get(EXPENSES, headers=login)
        session.rollback()

    assert answer.status_code == 503
    assert answer.elapsed.total_seconds() < 4
