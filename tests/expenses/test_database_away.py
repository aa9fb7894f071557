"""PostgreSQL stops and comes back under a running service, whose pool does the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from testing.postgres import Postgres, discard, temporary
from testing.servers import ROOT, Server, gunicorn, poll

LOGIN = "/api/v1/auth/login/"
EXPENSES = "/api/v1/expenses/"
PERSON = {"username": "demo1", "password": "demo-password"}

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = temporary()
    yield server
    discard(server)


@pytest.fixture(scope="module")
def service(postgres: Postgres) -> Iterator[Server]:
    environment = {
        "DATABASE_URL": postgres.url(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DEMO": "1",
        "DEMO_PASSWORD": PERSON["password"],
        "DEMO_ADMIN_PASSWORD": "admin-password",
    }
    for command in (["migrate"], ["seed_demo", "--expenses", "20", "--users", "1"]):
        _manage(command, environment)
    server = Server(gunicorn(workers=1), environment)
    yield server
    server.stop()


def _manage(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *command, "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def login(service: Server) -> dict[str, str]:
    token = requests.post(service.url(LOGIN), json=PERSON, timeout=20).json()["token"]
    return {"Authorization": f"Token {token}"}


def test_away_is_503_within_five_seconds_and_it_heals(
    postgres: Postgres, service: Server, login: dict[str, str]
) -> None:
    def expenses() -> requests.Response:
        return service.get(EXPENSES, headers=login)

    assert expenses().status_code == 200

    postgres.stop()
    answers = [expenses()]
    # First the pool's dead connections are found out, then a caller waits for a new one in vain.
    while answers[-1].elapsed.total_seconds() < 1 and len(answers) < 20:
        answers.append(expenses())

    assert 1 < answers[-1].elapsed.total_seconds() < 5
    for answer in answers:
        problem = answer.json()
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert problem["code"] == "database_unavailable"
        assert problem["correlation_id"] == answer.headers["X-Correlation-ID"]

    postgres.start()
    poll(lambda: expenses().status_code == 200, 20, "the service did not heal")

    assert [expenses().status_code for _ in range(10)] == [200] * 10


def test_admin_is_a_503_page_and_the_error_is_logged_once(
    postgres: Postgres, service: Server
) -> None:
    postgres.stop()

    page = service.get(
        "/admin/", cookies={"sessionid": "x" * 32}, headers={"X-Correlation-ID": "away"}
    )

    postgres.start()
    assert page.status_code == 503
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert int(page.headers["Retry-After"]) > 0
    assert "The database is not available now. Try again shortly." in page.text
    lines = [line for line in service.log_lines() if line.get("correlation_id") == "away"]
    assert [(line["status"], "exception" in line) for line in lines] == [(503, True)]
