"""A table that is locked, and a PostgreSQL that is stopped without closing a connection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import requests

from telemetry.processes import children
from testing.postgres import Postgres, discard, temporary
from testing.servers import ROOT, Server, gunicorn, poll, uvicorn
from tests.expenses.service import EXPENSES, LOGIN, PERSON, manage, seed, start, token
from tests.expenses.service import environment as service_environment

pytestmark = pytest.mark.servers

SERVERS = {"gunicorn": gunicorn(workers=2), "uvicorn": uvicorn(workers=1)}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = temporary()
    seed(server.url())
    yield server
    discard(server)


@pytest.fixture(scope="module", params=SERVERS)
def service(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Server]:
    server = start(SERVERS[request.param], postgres.url(), name=request.param)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def login(service: Server) -> dict[str, str]:
    return token(service)


@contextmanager
def locked(postgres: Postgres, table: str) -> Iterator[None]:
    with psycopg.connect(postgres.url()) as session:
        session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        session.rollback()


@contextmanager
def frozen(postgres: Postgres) -> Iterator[None]:
    assert postgres.process is not None
    pid = postgres.process.pid
    stopped = [pid, *children(pid)]
    for each in stopped:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in stopped:
            os.kill(each, signal.SIGCONT)


def assert_unavailable(answer: requests.Response, content_type: str) -> None:
    assert answer.status_code == 503
    assert answer.elapsed.total_seconds() < 5
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Content-Type"] == content_type


def test_a_locked_table_is_503_within_five_seconds(
    postgres: Postgres, service: Server, login: dict[str, str]
) -> None:
    with locked(postgres, "expenses_expense"):
        answer = service.get(EXPENSES, headers=login)
        live = service.get("/health/live")

    assert_unavailable(answer, "application/problem+json")
    assert answer.json()["code"] == "database_unavailable"
    assert live.status_code == 200
    assert service.get(EXPENSES, headers=login).status_code == 200


def test_a_locked_table_is_a_503_page_in_the_admin(postgres: Postgres, service: Server) -> None:
    with locked(postgres, "django_session"):
        answer = service.get("/admin/", cookies={"sessionid": "x" * 32})

    assert_unavailable(answer, "text/html; charset=utf-8")


def test_a_login_that_waits_for_a_lock_is_503(postgres: Postgres, service: Server) -> None:
    with locked(postgres, "expenses_loginfailures"):
        answer = requests.post(service.url(LOGIN), json=PERSON, timeout=20)

    assert_unavailable(answer, "application/problem+json")


def test_a_frozen_server_is_503_within_five_seconds_and_it_recovers(
    postgres: Postgres, service: Server, login: dict[str, str]
) -> None:
    def expenses(_number: int = 0) -> requests.Response:
        return service.get(EXPENSES, headers=login)

    with ThreadPoolExecutor(4) as pool:
        assert [answer.status_code for answer in pool.map(expenses, range(8))] == [200] * 8

        with frozen(postgres):
            answers = list(pool.map(expenses, range(4)))
            again = expenses()
            page = service.get("/admin/", cookies={"sessionid": "x" * 32})
            ready = service.get("/health/ready")
            live = service.get("/health/live")

        for answer in [*answers, again]:
            assert_unavailable(answer, "application/problem+json")
        assert_unavailable(page, "text/html; charset=utf-8")
        assert (ready.status_code, live.status_code) == (503, 200)

        poll(lambda: expenses().status_code == 200, 20, "the service did not recover")
        assert [answer.status_code for answer in pool.map(expenses, range(8))] == [200] * 8
    assert service.get("/health/ready").status_code == 200


def test_a_command_is_not_cut_off_as_a_request_is(postgres: Postgres) -> None:
    """A migration that waits for a lock longer than a request may."""
    started = time.monotonic()
    with psycopg.connect(postgres.url()) as session:
        session.execute("LOCK TABLE django_migrations IN ACCESS EXCLUSIVE MODE")
        threading.Timer(6, session.rollback).start()
        manage("migrate", "--verbosity", "0", database_url=postgres.url())

    assert time.monotonic() - started > 5


def served(postgres: Postgres, code: str, **environment: str) -> str:
    """What ``code`` prints in a process that serves requests."""
    setup = "import config.wsgi\nfrom django.db import Error, connection, transaction\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + textwrap.dedent(code)],
        cwd=ROOT,
        env={**os.environ, **service_environment(postgres.url()), **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_idle_transaction_is_ended(postgres: Postgres) -> None:
    printed = served(
        postgres,
        """
        import time
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                time.sleep(2)
                cursor.execute("SELECT 1")
        except Error as error:
            print(type(error.__cause__).__name__)
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'again'")
            print(cursor.fetchone()[0])
        """,
        DATABASE_IDLE_TIMEOUT="1",
    )

    assert printed == "IdleInTransactionSessionTimeout\nagain\n"


@pytest.mark.parametrize("pgbouncer", ["0", "1"])
def test_the_limits_of_the_server_are_startup_options(postgres: Postgres, pgbouncer: str) -> None:
    printed = served(
        postgres,
        """
        with connection.cursor() as cursor:
            for name in ("statement", "lock", "idle_in_transaction_session"):
                cursor.execute(f"SHOW {name}_timeout")
                print(cursor.fetchone()[0])
        """,
        DATABASE_STATEMENT_TIMEOUT="1.5",
        DATABASE_BEHIND_PGBOUNCER=pgbouncer,
    )

    assert printed.split() == (["1500ms", "2s", "30s"] if pgbouncer == "0" else ["0", "0", "0"])


def test_a_connection_without_answer_is_closed_and_a_new_one_works(postgres: Postgres) -> None:
    printed = served(
        postgres,
        """
        def pid(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()[0]
        before = pid("SELECT pg_backend_pid()")
        try:
            pid("SELECT pg_sleep(3)")
        except Error as error:
            print(type(error.__cause__).__name__)
        connection.close()
        print(pid("SELECT pg_backend_pid()") != before)
        """,
        DATABASE_STATEMENT_TIMEOUT="1",
        # The server does not end the statement: that is left to the client.
        DATABASE_BEHIND_PGBOUNCER="1",
    )

    assert printed == "NoAnswerError\nTrue\n"


def test_a_transaction_that_lost_its_connection_waits_for_no_other(postgres: Postgres) -> None:
    printed = served(
        postgres,
        """
        def run(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()[0]
        try:
            with transaction.atomic():
                run("SELECT pg_sleep(3)")
        except Error as error:
            print(type(error.__cause__).__name__)
        print(connection.connection)
        with transaction.atomic():
            print(run("SELECT 'again'"), connection.get_autocommit())
        print(run("SELECT 'and again'"), connection.get_autocommit())
        """,
        DATABASE_STATEMENT_TIMEOUT="1",
        # The server does not end the statement: that is left to the client.
        DATABASE_BEHIND_PGBOUNCER="1",
    )

    assert printed == "NoAnswerError\nNone\nagain False\nand again True\n"


def test_a_login_while_the_server_is_frozen_is_503_within_five_seconds(
    postgres: Postgres, service: Server
) -> None:
    session = requests.Session()
    session.get(service.url("/admin/login/"), timeout=20)
    form = {"csrfmiddlewaretoken": session.cookies["csrftoken"], "username": "a", "password": "b"}

    with frozen(postgres):
        for _ in range(3):
            page = session.post(service.url("/admin/login/"), data=form, timeout=20)
            assert_unavailable(page, "text/html; charset=utf-8")

    poll(lambda: service.get("/health/ready").status_code == 200, 20, "it did not recover")
