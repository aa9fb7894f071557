"""The short way of the request's line writes what the long way would."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest

from telemetry.logs import pipeline, request_line

IDS = {"correlation_id": "c-1", "trace_id": "a" * 32, "span_id": "b" * 16}
FIELDS: dict[str, Any] = {
    "method": "GET",
    "endpoint": "/api/v1/expenses/{id}/",
    "path": "/api/v1/expenses/7/",
    "status": 200,
    "duration_seconds": 0.001234,
    "db_queries": 2,
    "db_seconds": 1e-06,
    "user_id": None,
    "client_ip": "127.0.0.1",
    "response_bytes": 312,
}


class Stream(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def lines(self) -> list[str]:
        self.flush()
        return self.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined]


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> pipeline.LineHandler:
    """The only handler, as in a server."""
    made = pipeline.LineHandler(Stream())
    made.setFormatter(pipeline.formatter())
    made.quick = True
    monkeypatch.setattr(logging.getLogger(), "handlers", [made])
    return made


def both(handler: pipeline.LineHandler, level: int, **given: Any) -> tuple[str, str]:
    """The line by the short way and by the long one."""
    fields, bound = {**FIELDS, **given.get("fields", {})}, given.get("bound", {})
    request_line.write(level, "GET /x 200", dict(IDS), dict(fields), dict(bound))
    handler.quick = False
    request_line.write(level, "GET /x 200", dict(IDS), dict(fields), dict(bound))
    short, long = handler.stream.lines()
    return short, long


def without_time(line: str) -> str:
    return re.sub(r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', "", line)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"bound": {"expense_id": 7, "note": "ünï \x00 \n"}},
        {"bound": {"password": "hunter2", "nested": {"token": "x", "list": [1, {"api_key": "y"}]}}},
        {"bound": {"status": "theirs", "trace_id": "theirs"}},
        {"bound": {"object": object, "set": {1}, "bytes": b"\xff", "far": 10**30}},
        {"fields": {"path": "/reset/?token=abc&x=1"}},
        {"fields": {"path": "/\udce4/", "user_id": "2b1c"}},
        {"fields": {"path": "/" + "x" * 1023}, "bound": {"long": "y" * 20_000}},
        {"fields": {"repeated_queries": 1, "repeated_at": "views.py:3 view"}},
    ],
)
def test_both_ways_write_the_same(handler: pipeline.LineHandler, given: dict[str, Any]) -> None:
    short, long = both(handler, logging.INFO, **given)

    found, wanted = json.loads(short), json.loads(long)
    assert set(found) == set(wanted)
    assert without_time(short) == without_time(long)
    assert not re.search("hunter2|abc", short)


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_levels(handler: pipeline.LineHandler, level: int) -> None:
    short, long = both(handler, level)

    assert json.loads(short)["level"] == json.loads(long)["level"]


def test_somebody_elses_filter_is_asked(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(request_line.NAME), "filters", [lambda _record: False])

    request_line.write(logging.INFO, "m", dict(IDS), dict(FIELDS), {})

    assert handler.stream.lines() == []


def test_a_stream_that_cannot_be_written_costs_no_answer(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler.stream.detach()

    request_line.write(logging.INFO, "m", dict(IDS), dict(FIELDS), {})
