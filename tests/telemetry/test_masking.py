from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.logs import processors
from telemetry.logs.masking import mask_text, without_detail
from telemetry.logs.shapes import mask


@pytest.mark.parametrize(
    "key",
    [
        *("password", "PASSWORD", "new_password1", "passwd", "Authorization", "Cookie"),
        *("Set-Cookie", "csrfmiddlewaretoken", "access_token", "api_key", "API-Key", "apikey"),
        *("client_secret", "DJANGO_SECRET_KEY", "sessionid", "session_key", "private_key", "dsn"),
    ],
)
@pytest.mark.parametrize("shape", [lambda v: v, lambda v: [v], lambda v: {"deeper": v}])
def test_a_secret_is_masked_by_its_key_however_deep(key: str, shape: Any) -> None:
    event = {"data": [{"nested": {key: shape("hunter2")}}]}

    assert "hunter2" not in json.dumps(mask(event))


@pytest.mark.parametrize(
    "text",
    [
        "/login?next=/&password=hunter2",
        "access_token=hunter2&x=1",
        "Authorization: Bearer hunter2hunter2",
        "postgresql://user:hunter2@host/db",
        "https://name:hunter2@example.org/",
        "next=https%3A%2F%2Fname%3Ahunter2%40example.org%2F&page=2",
        "next=https%3a%2f%2fhunter2%40example.org",
        "next=https%253A%252F%252Fname%253Ahunter2%2540example.org",
        "next=https://name:hunter2%40example.org",
    ],
)
def test_a_secret_inside_a_text_is_masked(text: str) -> None:
    assert "hunter2" not in mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = b",
        "total=3",
        "compass=north",
        "/items?page=2",
        "next=https%3A%2F%2Fexample.org%2Fa%3Fmail%3Danna%40example.org",
        "next=https%3A%2F%2Fexample.org%3A8080%2F%40anna",
        "mail=anna%40example.org&next=https%3A%2F%2Fexample.org%2F",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask_text(text) == text


def test_the_rows_of_a_database_error_are_cut() -> None:
    message = "duplicate key value\nDETAIL:  Key (email)=(anna@example.org) already exists."

    assert without_detail(message) == "duplicate key value"


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    [
        Unshowable(),
        float("nan"),
        2**70,
        b"\xff\xfe",
        "\ud800",
        {1: {2: {3: {4: {5: {6: {7: {8: {9: "deep"}}}}}}}}},
        {("a", "b"): 1},
        object(),
        {1, 2},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_cannot_be_encoded_never_loses_the_line(value: object) -> None:
    event = processors.mask_secrets(None, "", {"message": "kept", "value": value})

    line = json.loads(processors.to_json(None, "", event))

    assert line["message"] == "kept"


def test_a_line_that_is_too_long_stays_valid() -> None:
    event = {"message": "m" * 100_000, **{f"field{n}": "x" * 5_000 for n in range(50)}}

    line = json.loads(processors.to_json(None, "", processors.mask_secrets(None, "", event)))

    assert line["message"].startswith("mmm")
    assert "truncated" in line


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_whatever_is_logged_is_one_json_object_on_one_line(value: Any) -> None:
    event = processors.mask_secrets(None, "", {"message": "m", "value": value})

    text = processors.to_json(None, "", event)

    assert "\n" not in text
    assert json.loads(text)["message"] == "m"
