from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, override_settings
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from expenses.models import LoginFailures
from tests.expenses.factories import UserFactory

LOGIN = "/api/v1/auth/login/"
EXPENSES = "/api/v1/expenses/"


@pytest.fixture
def person() -> User:
    user = UserFactory(username="ada")
    user.set_password("right")
    user.save()
    return user


@pytest.fixture
def boss() -> User:
    user = UserFactory(username="boss", is_staff=True, is_superuser=True)
    user.set_password("right")
    user.save()
    return user


def login(client: APIClient, password: str = "right", **headers: str) -> tuple[int, dict[str, str]]:
    answer = client.post(LOGIN, {"username": "ada", "password": password}, headers=headers)
    return answer.status_code, answer.json()


def test_login_gives_a_token_that_works(anonymous: APIClient, person: User) -> None:
    status, given = login(anonymous)

    answer = anonymous.get(EXPENSES, headers={"authorization": f"Token {given['token']}"})

    assert (status, answer.status_code) == (200, 200)
    assert dt.datetime.fromisoformat(given["expiry"]) > timezone.now() + dt.timedelta(days=29)


def test_token_is_stored_as_a_hash(anonymous: APIClient, person: User) -> None:
    _status, given = login(anonymous)

    row = AuthToken.objects.get()
    assert given["token"] not in (row.digest, row.token_key)


def test_logout_ends_one_token_and_logoutall_all(anonymous: APIClient, person: User) -> None:
    first, second, third = (login(anonymous)[1]["token"] for _ in range(3))

    def call(path: str, token: str) -> int:
        return anonymous.post(path, headers={"authorization": f"Token {token}"}).status_code

    assert call("/api/v1/auth/logout/", first) == 204
    assert call("/api/v1/auth/logout/", first) == 401
    assert call("/api/v1/auth/logoutall/", second) == 204
    assert call("/api/v1/auth/logout/", third) == 401


def test_expired_token_is_refused_and_swept_at_the_next_login(
    anonymous: APIClient, person: User
) -> None:
    _row, token = AuthToken.objects.create(person, expiry=dt.timedelta(seconds=-1))

    answer = anonymous.get(EXPENSES, headers={"authorization": f"Token {token}"})
    login(anonymous)

    assert answer.status_code == 401
    assert AuthToken.objects.count() == 1


def test_wrong_password_is_401_and_names_the_scheme(anonymous: APIClient, person: User) -> None:
    answer = anonymous.post(LOGIN, {"username": "ada", "password": "wrong"})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert answer.json()["code"] == "authentication_failed"


@pytest.mark.parametrize(
    "header",
    ["Token", "Token a b", "Token x", "Token " + "é" * 20, "Token " + "a" * 500, "Bearer abc"],
)
def test_strange_credentials_are_401(anonymous: APIClient, header: str) -> None:
    answer = anonymous.get(EXPENSES, headers={"authorization": header})

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"


def test_session_without_csrf_token_cannot_write(user: User) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)

    assert client.get(EXPENSES).status_code == 200
    assert client.post(EXPENSES, {}).status_code == 403


def test_guessing_must_wait(anonymous: APIClient, person: User) -> None:
    for _ in range(5):
        login(anonymous, "wrong")

    answer = anonymous.post(LOGIN, {"username": " ADA", "password": "right"})

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60
    assert answer.json()["code"] == "throttled"


def test_guessing_many_names_must_wait_too(anonymous: APIClient) -> None:
    for number in range(30):
        anonymous.post(LOGIN, {"username": f"name{number}", "password": "guess"})

    answer = anonymous.post(LOGIN, {"username": "another", "password": "guess"})

    assert answer.status_code == 429


def admin_login(client: Client, name: str, password: str, **headers: str) -> HttpResponse:
    sent = {"username": name, "password": password, "next": "/admin/"}
    return client.post("/admin/login/", sent, headers=headers)


def test_the_admin_login_shares_the_count(anonymous: APIClient, boss: User) -> None:
    client = Client()
    for _ in range(3):
        assert admin_login(client, "boss", "wrong").status_code == 200  # the form again
    for _ in range(2):
        anonymous.post(LOGIN, {"username": "boss", "password": "wrong"})

    answer = admin_login(client, "boss", "right")

    assert answer.status_code == 429
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert 0 < int(answer["Retry-After"]) <= 60
    assert anonymous.post(LOGIN, {"username": "boss", "password": "right"}).status_code == 429


def test_good_logins_of_the_admin_are_not_counted(boss: User) -> None:
    assert [admin_login(Client(), "boss", "right").status_code for _ in range(8)] == [302] * 8


def test_an_address_in_ipv6_is_its_network(anonymous: APIClient, person: User) -> None:
    for number in range(5):
        anonymous.post(
            LOGIN,
            {"username": "ada", "password": "wrong"},
            REMOTE_ADDR=f"2001:db8:0:1::{number}",
        )

    def status(address: str) -> int:
        sent = {"username": "ada", "password": "right"}
        return anonymous.post(LOGIN, sent, REMOTE_ADDR=address).status_code

    assert status("2001:db8:0:1:ffff::9") == 429
    assert status("2001:db8:0:2::1") == 200


def test_what_is_over_is_removed_and_counts_no_more(anonymous: APIClient, person: User) -> None:
    for number in range(8):
        anonymous.post(LOGIN, {"username": f"name{number}", "password": "wrong"})
    for _ in range(5):
        login(anonymous, "wrong")
    assert login(anonymous)[0] == 429
    assert LoginFailures.objects.count() == 10

    LoginFailures.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))

    assert login(anonymous)[0] == 200
    assert LoginFailures.objects.count() == 2


def test_names_and_addresses_are_not_stored(anonymous: APIClient, person: User) -> None:
    login(anonymous, "wrong")

    stored = " ".join(LoginFailures.objects.values_list("key", flat=True))
    assert "ada" not in stored
    assert "127.0.0.1" not in stored


@override_settings(LOGIN_PROBE_TOKEN="t" * 32, LOGIN_PROBE_USERNAME="ada")
def test_the_probe_is_not_held_up(anonymous: APIClient, person: User) -> None:
    for _ in range(6):
        login(anonymous, "wrong")

    def status(name: str, token: str) -> int:
        sent = {"username": name, "password": "right"}
        headers = {"x-login-probe": token}
        return anonymous.post(LOGIN, sent, headers=headers).status_code

    assert status("ada", "t" * 32) == 200
    assert status("ada", "t" * 31 + "é") == 429
    assert status("ada", "") == 429
    for _ in range(6):
        status("eve", "t" * 32)
    assert status("eve", "t" * 32) == 429


def test_good_logins_are_not_counted(anonymous: APIClient, person: User) -> None:
    assert [login(anonymous)[0] for _ in range(8)] == [200] * 8


@override_settings(TELEMETRY={"TRUSTED_PROXIES": ("127.0.0.1",)})
def test_behind_a_trusted_proxy_the_caller_is_counted(anonymous: APIClient, person: User) -> None:
    for _ in range(5):
        login(anonymous, "wrong", x_forwarded_for="198.51.100.1, 203.0.113.7")

    guesser = login(anonymous, x_forwarded_for="192.0.2.9, 203.0.113.7")
    somebody_else = login(anonymous, x_forwarded_for="203.0.113.8")

    assert (guesser[0], somebody_else[0]) == (429, 200)


@pytest.mark.parametrize(
    "sent", [{}, {"username": "ada"}, {"username": "a\x00", "password": "x"}, [], "ada"]
)
def test_half_a_login_is_400(anonymous: APIClient, sent: object) -> None:
    answer = anonymous.post(LOGIN, sent)

    assert answer.status_code == 400
    assert answer.json()["code"] == "validation_error"
