"""What a stranger can send. Always a problem with the correlation id, and nothing written."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, override_settings
from rest_framework.test import APIClient

from expenses.models import Expense
from tests.conftest import Lines, Sample
from tests.expenses.factories import ExpenseFactory, body

EXPENSES = "/api/v1/expenses/"
JSON = "application/json"


def assert_problem(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "about:blank"
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["title"]
    assert problem["detail"]
    assert problem["correlation_id"] == answer["X-Correlation-ID"]
    assert not Expense.objects.exists()


@pytest.mark.parametrize(
    "sent",
    [
        b"{",
        b"",
        b"\xff\xfe",
        b'{"title": NaN}',
        b'{"title": "a", }',
        b"[" * 100_000,
        b'{"amount": ' + b"9" * 5000 + b"}",
    ],
    ids=["open", "empty", "not-utf8", "nan", "comma", "deep", "long-number"],
)
def test_malformed_json_is_400(api: APIClient, sent: bytes) -> None:
    answer = api.post(EXPENSES, sent, content_type=JSON)

    code = "validation_error" if sent == b"" else "parse_error"
    assert_problem(answer, 400, code)


@pytest.mark.parametrize("sent", ["[]", '"text"', "5", "null", "[{}]"])
def test_json_that_is_no_object_is_400(api: APIClient, sent: str) -> None:
    assert_problem(api.post(EXPENSES, sent, content_type=JSON), 400, "validation_error")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "?"]
)
def test_other_content_type_is_415(api: APIClient, content_type: str) -> None:
    answer = api.generic("POST", EXPENSES, "title=Train", content_type=content_type)

    assert_problem(answer, 415, "unsupported_media_type")


def test_body_over_the_limit_is_413(api: APIClient) -> None:
    answer = api.post(EXPENSES, body(notes="n" * 1024 * 1024))

    assert_problem(answer, 413, "body_too_large")


def test_other_accept_is_406(api: APIClient) -> None:
    assert_problem(api.get(EXPENSES, headers={"accept": "text/csv"}), 406, "not_acceptable")


@pytest.mark.parametrize("method", ["BREW", "TRACE", "DELETE"])
def test_method_that_is_not_there_is_405(api: APIClient, method: str) -> None:
    answer = api.generic(method, EXPENSES)

    assert_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer["Allow"]
    assert "POST" in answer["Allow"]


def test_without_login_is_401(anonymous: APIClient) -> None:
    answer = anonymous.get(EXPENSES)

    assert_problem(answer, 401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", "/api/v2/expenses/", "/api/%00/"])
def test_unknown_path_below_the_api_is_a_problem(anonymous: APIClient, path: str) -> None:
    assert_problem(anonymous.get(path), 404, "not_found")


def test_unknown_path_elsewhere_is_a_page(anonymous: APIClient) -> None:
    answer = anonymous.get("/nothing/")

    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("host", ["evil.example", "a b", "x" * 300, "'"])
def test_hostile_host_is_400(anonymous: APIClient, host: str) -> None:
    assert_problem(anonymous.get(EXPENSES, headers={"host": host}), 400, "bad_request")


def test_wrong_values_name_their_fields(api: APIClient) -> None:
    answer = api.post(EXPENSES, {"title": "Train", "amount": "x", "currency": "XYZ"})

    assert_problem(answer, 400, "validation_error")
    assert {error["field"] for error in answer.json()["errors"]} == {
        "amount",
        "currency",
        "spent_on",
    }
    assert all(error["code"] and error["detail"] for error in answer.json()["errors"])


@pytest.mark.parametrize(
    "key", [r"\000aaaaaaaaaaaaaaa", r"\377\376\355\240\200aaaaaaa", "a" * 7 + " b", "x'--" * 9]
)
def test_a_session_that_no_database_can_hold_is_none(key: str) -> None:
    """In quotes a cookie may name any character by its number (RFC 2109)."""
    cookie = {"cookie": f'sessionid="{key}"; csrftoken="{key}"'}

    assert Client(headers=cookie).get("/api/v1/expenses/").status_code == 401
    assert Client(headers=cookie).get("/admin/login/").status_code == 200
    assert Client(headers=cookie).get("/admin/").status_code == 302


@override_settings(DEMO=True)
def test_unhandled_exception_is_500_without_its_text(
    anonymous: APIClient, log_lines: Lines, sample: Sample
) -> None:
    path = "/api/v1/demo/faults/error/"
    before = sample("errors_total", type="DemoFaultError", endpoint=path)

    answer = anonymous.get(path)

    assert_problem(answer, 500, "internal_error")
    assert b"asked for" not in answer.content
    assert sample("errors_total", type="DemoFaultError", endpoint=path) == before + 1
    assert len([line for line in log_lines() if "asked for" in str(line)]) == 1


def test_change_with_a_broken_body_changes_nothing(api: APIClient, user: User) -> None:
    expense = ExpenseFactory(owner=user)

    api.patch(f"{EXPENSES}{expense.pk}/", b"{", content_type=JSON)
    api.patch(f"{EXPENSES}{expense.pk}/", {"title": "Bus", "amount": "-1"})

    expense.refresh_from_db()
    assert (expense.title, expense.version) == ("Train", 1)


@override_settings(CORS_ALLOWED_ORIGINS=["https://app.example"])
def test_allowed_origin_may_send_and_read_the_headers(anonymous: APIClient) -> None:
    origin = {"origin": "https://app.example", "access-control-request-method": "POST"}

    asked = anonymous.options(EXPENSES, headers=origin)
    answered = anonymous.get(EXPENSES, headers=origin)
    elsewhere = anonymous.get(EXPENSES, headers={"origin": "https://evil.example"})

    allowed = asked["Access-Control-Allow-Headers"]
    assert {"authorization", "traceparent", "x-correlation-id"} <= set(allowed.split(", "))
    assert "X-Correlation-ID" in answered["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Origin" not in elsewhere
