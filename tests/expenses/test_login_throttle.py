"""Many attempts at once over several workers: as many passwords are tried as are allowed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import requests

from testing.servers import Server, gunicorn
from tests.expenses.service import ADMIN, LOGIN, PERSON, seeded_database, start

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def database() -> str:
    return seeded_database("login_throttle")


@pytest.fixture(scope="module")
def server(database: str) -> Iterator[Server]:
    started = start(gunicorn(workers=3), database, FORWARDED_ALLOW_IPS="127.0.0.0/8")
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _no_failures_yet(database: str) -> None:
    with psycopg.connect(database) as session:
        session.execute("DELETE FROM expenses_loginfailures")


def at_once(times: int, call: Callable[[int], requests.Response]) -> list[requests.Response]:
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(call, range(times)))


def api_login(server: Server, name: str, password: str, address: str) -> requests.Response:
    return requests.post(
        server.url(LOGIN),
        json={"username": name, "password": password},
        headers={"X-Forwarded-For": address},
        timeout=60,
    )


def admin_login(server: Server, name: str, password: str, address: str) -> requests.Response:
    session = requests.Session()
    page = session.get(server.url("/admin/login/"), timeout=60)
    csrf = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert csrf is not None
    return session.post(
        server.url("/admin/login/"),
        data={"csrfmiddlewaretoken": csrf[1], "username": name, "password": password},
        headers={"X-Forwarded-For": address},
        allow_redirects=False,
        timeout=60,
    )


def test_of_many_wrong_logins_at_once_five_are_tried(server: Server) -> None:
    answers = at_once(30, lambda _: api_login(server, PERSON["username"], "no", "192.0.2.1"))

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 25}
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert 0 < int(answer.headers["Retry-After"]) <= 60


def test_of_many_names_at_once_thirty_are_tried(server: Server) -> None:
    answers = at_once(45, lambda number: api_login(server, f"name{number}", "no", "192.0.2.2"))

    assert Counter(answer.status_code for answer in answers) == {401: 30, 429: 15}


def test_api_and_admin_share_the_count_at_once(server: Server) -> None:
    def attempt(number: int) -> requests.Response:
        login = api_login if number % 2 else admin_login
        return login(server, ADMIN["username"], "no", "192.0.2.3")

    answers = at_once(16, attempt)

    # The admin answers a wrong password with 200 and the form.
    counts = Counter(answer.status_code for answer in answers)
    assert counts[200] + counts[401] == 5
    assert counts[429] == 11


def test_many_good_logins_at_once_all_succeed(server: Server) -> None:
    answers = at_once(
        8, lambda _: api_login(server, PERSON["username"], PERSON["password"], "192.0.2.4")
    )

    assert [answer.status_code for answer in answers] == [200] * 8


def test_the_right_password_does_not_pass_after_five_failures(server: Server) -> None:
    for _ in range(5):
        api_login(server, PERSON["username"], "no", "192.0.2.5")

    def right(address: str) -> int:
        return api_login(server, PERSON["username"], PERSON["password"], address).status_code

    assert right("192.0.2.5") == 429
    assert right("192.0.2.5:4711") == 429
    assert right("192.0.2.6") == 200
