"""Bodies and queries made to be costly: bounded work, a bounded answer, never a 500."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from expenses.models import Expense
from tests.expenses.factories import body

EXPENSES = "/api/v1/expenses/"
LOGIN = "/api/v1/auth/login/"
MOST_BYTES = 12_000
MOST_SECONDS = 5.0  # on a loaded machine; about 0.1 on an idle one


def deep(depth: int) -> Any:
    made: Any = "x"
    for _ in range(depth):
        made = [made]
    return made


def refused(client: APIClient | Client, method: str, path: str, sent: bytes, kind: str) -> Any:
    started = time.monotonic()
    answer = client.generic(method, path, sent, content_type=kind)
    assert time.monotonic() - started < MOST_SECONDS
    assert answer.status_code in {400, 413, 415}, answer.content[:500]
    assert len(answer.content) < MOST_BYTES
    assert not Expense.objects.exists()
    return answer


MANY = {f"unknown{number}": number for number in range(40_000)}
COSTLY: dict[str, bytes] = {
    "many-keys": json.dumps(MANY).encode(),
    "short-keys": b"{" + b",".join(b'"%x":1' % number for number in range(80_000)) + b"}",
    "one-long-key": json.dumps({"k" * 900_000: 1}).encode(),
    "surrogate-key": b'{"\\ud800": 1}',
    "many-in-a-list": json.dumps([{"a": 1}] * 80_000).encode(),
    "nested-many": json.dumps(body(currency=MANY)).encode(),
    "many-under-title": json.dumps(body(title=MANY)).encode(),
    "long-choice": json.dumps(body(currency="E" * 900_000)).encode(),
    "long-status": json.dumps(body(status="s" * 900_000)).encode(),
    "long-title": json.dumps(body(title="t" * 900_000)).encode(),
    "long-date": json.dumps(body(spent_on="1" * 900_000)).encode(),
    "long-amount": json.dumps(body(amount="1" * 900_000)).encode(),
    "huge-integer": json.dumps(body()).replace('"64.00"', "9" * 100_000).encode(),
    "largest-integer": json.dumps(body()).replace('"64.00"', "9" * 4_000).encode(),
    "huge-exponent": json.dumps(body()).replace('"64.00"', "1e1000000").encode(),
    "huge-negative-exponent": json.dumps(body()).replace('"64.00"', "1e-1000000").encode(),
    "exponent-of-exponents": json.dumps(body()).replace('"64.00"', "1e" + "9" * 40).encode(),
    "many-digits": json.dumps(body()).replace('"64.00"', "0." + "1" * 900_000).encode(),
    "repeated-key": b'{"title": "a", "title": "b"}',
    "repeated-inside": json.dumps(body()).replace('"SNCF"', '{"a": 1, "a": 2}').encode(),
}


@pytest.mark.parametrize("name", COSTLY)
@pytest.mark.parametrize("path", [EXPENSES, LOGIN])
def test_a_costly_body_is_refused_at_once_and_in_few_words(
    api: APIClient, path: str, name: str
) -> None:
    refused(api, "POST", path, COSTLY[name], "application/json")


@pytest.mark.parametrize("field", ["currency", "status", "title", "amount", "category", "spent_on"])
def test_no_depth_of_nesting_is_an_error_of_ours(api: APIClient, field: str) -> None:
    for depth in (1, 50, 200, *range(700, 1000, 20), 5_000, 100_000):
        sent = json.dumps(body(**{field: "@"})).replace('"@"', "[" * depth + "]" * depth)
        refused(api, "POST", EXPENSES, sent.encode(), "application/json")
        sent = json.dumps(body(**{field: "@"})).replace('"@"', '{"a":' * depth + "1" + "}" * depth)
        refused(api, "POST", EXPENSES, sent.encode(), "application/json")


@pytest.mark.parametrize("number", ["1e1000000", "-1e-1000000", "1" * 4000, "1.5", "true"])
@pytest.mark.parametrize("field", ["title", "currency", "category", "spent_on", "status", "notes"])
def test_a_strange_number_is_refused_or_text(api: APIClient, field: str, number: str) -> None:
    sent = json.dumps(body(**{field: "@"})).replace('"@"', number)

    answer = api.generic("POST", EXPENSES, sent, content_type="application/json")

    assert answer.status_code in {201, 400}
    assert len(answer.content) < MOST_BYTES


def test_the_first_twenty_reasons_are_named(api: APIClient) -> None:
    answer = refused(api, "POST", EXPENSES, COSTLY["many-keys"], "application/json")

    problem = answer.json()
    assert len(problem["errors"]) == 20
    assert {error["code"] for error in problem["errors"]} == {"unknown_field"}
    assert "first 20" in problem["detail"]


def test_few_reasons_are_all_named(api: APIClient) -> None:
    answer = api.post(EXPENSES, {f"unknown{number}": 1 for number in range(20)})

    assert len(answer.json()["errors"]) == 20
    assert "first" not in answer.json()["detail"]


@pytest.mark.parametrize("path", [EXPENSES, "/api/v1/categories/", "/admin/login/"])
def test_a_query_of_ten_thousand_parameters(api: APIClient, path: str) -> None:
    query = "&".join(f"p{number}=1" for number in range(10_000))

    answer = api.get(f"{path}?{query}")

    assert answer.status_code == 400
    assert len(answer.content) < MOST_BYTES


def test_a_query_of_some_hundred_unknown_parameters(api: APIClient) -> None:
    answer = api.get(f"{EXPENSES}?" + "&".join(f"p{number}=1" for number in range(900)))

    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 20


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
@pytest.mark.parametrize("path", [EXPENSES, "/admin/login/"])
def test_a_form_of_many_fields(client: Client, api: APIClient, path: str, kind: str) -> None:
    if kind.startswith("multipart"):
        part = b'--b\r\nContent-Disposition: form-data; name="%x"\r\n\r\n1\r\n'
        sent = b"".join(part % number for number in range(12_000)) + b"--b--\r\n"
    else:
        sent = b"&".join(b"%x=1" % number for number in range(80_000))

    refused(api if path == EXPENSES else client, "POST", path, sent, kind)
