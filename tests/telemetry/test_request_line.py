"""The short way of the request's line writes what the long way would."""

from __future__ import annotations

import io
import json
import logging
import re
import uuid
from typing import Any

import pytest

from telemetry.logs import pipeline, request_line

IDS = ("c-1", "a" * 32, "b" * 16)
TEMPLATE = request_line.Template("GET", "/api/v1/expenses/{id}/", 200)
VALUES: dict[str, Any] = {
    "path": "/api/v1/expenses/7/",
    "status": 200,
    "duration_seconds": 1_234_499,
    "db_queries": 2,
    "db_seconds": 501,
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
    monkeypatch.setattr(request_line, "_second", (0, "", None))
    return made


def values_with(**changed: Any) -> Any:
    return tuple({**VALUES, **changed}.values())


def both(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch, level: int, **given: Any
) -> tuple[str, str]:
    """The line by the short way and by the long one."""
    # pytest puts handlers of its own beside it after the fixtures.
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    values = values_with(**given.get("values", {}))
    more = {name: given[name] for name in ("bound", "fields") if name in given}
    request_line.write(level, TEMPLATE, IDS, values, more)
    monkeypatch.setattr(request_line, "_second", (0, "", None))
    handler.quick = False
    request_line.write(level, TEMPLATE, IDS, values, more)
    short, long = handler.stream.lines()
    return short, long


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"bound": {"expense_id": 7, "note": "ünï \x00 \n"}},
        {"bound": {"password": "hunter2", "nested": {"token": "x", "list": [1, {"api_key": "y"}]}}},
        {"bound": {"status": "theirs", "trace_id": "theirs"}},
        {"bound": {"object": object, "set": {1}, "bytes": b"\xff", "far": 10**30}},
        {"values": {"path": "/reset/?token=abc&x=1"}},
        {"values": {"path": "/\udce4/"}},
        {"values": {"path": '/"quoted"\\\n\x00ünï', "user_id": "2b1c", "db_seconds": 0}},
        {"values": {"user_id": uuid.UUID(int=7)}},
        {"values": {"user_id": 10**30, "duration_seconds": 123456789_123456_789}},
        {"values": {"duration_seconds": 999_999_499, "db_seconds": 999_999_500}},
        {"values": {"path": "/" + "x" * 1023}, "bound": {"long": "y" * 20_000}},
        {"fields": {"repeated_queries": 1, "repeated_at": "views.py:3 view"}},
    ],
)
def test_both_ways_write_the_same(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any]
) -> None:
    short, long = both(handler, monkeypatch, logging.INFO, **given)

    found, wanted = json.loads(short), json.loads(long)
    assert list(found) == list(wanted)
    for line in found, wanted:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert found == wanted
    assert not re.search("hunter2|abc", short)


def test_the_short_way_is_taken(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(request_line, "_write_long", None)

    request_line.write(logging.INFO, TEMPLATE, IDS, values_with(), {})

    assert len(handler.stream.lines()) == 1


@pytest.mark.parametrize(
    ("nanoseconds", "seconds"),
    [
        (0, "0.0"),
        (499, "0.0"),
        (500, "0.000001"),
        (1_499, "0.000001"),
        (1_500, "0.000002"),
        (999_999_499, "0.999999"),
        (999_999_500, "1.0"),
        (1_234_567_500, "1.234568"),
        (61_000_000_499, "61.0"),
    ],
)
@pytest.mark.parametrize("name", ["duration_seconds", "db_seconds"])
def test_times_are_rounded_to_microseconds(
    handler: pipeline.LineHandler,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    nanoseconds: int,
    seconds: str,
) -> None:
    for line in both(handler, monkeypatch, logging.INFO, values={name: nanoseconds}):
        assert json.loads(line)[name] == float(seconds)


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING, logging.ERROR])
def test_levels(handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    short, long = both(handler, monkeypatch, level)

    assert json.loads(short)["level"] == json.loads(long)["level"]


def test_somebody_elses_filter_is_asked(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(request_line.NAME), "filters", [lambda _record: False])

    request_line.write(logging.INFO, TEMPLATE, IDS, values_with(), {})

    assert handler.stream.lines() == []


@pytest.mark.parametrize("name", [request_line.NAME, "telemetry", ""])
def test_a_handler_of_somebody_else_gets_each_line(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A file of one's own for what telemetry says, as LOGGING names one."""
    request_line.write(logging.INFO, TEMPLATE, IDS, values_with(), {})
    records: list[logging.LogRecord] = []
    theirs = logging.Handler()
    theirs.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, theirs])

    request_line.write(logging.INFO, TEMPLATE, IDS, values_with(), {})

    assert len(records) == 1
    assert len(handler.stream.lines()) == 2


@pytest.mark.parametrize("name", [request_line.NAME, "telemetry"])
def test_a_logger_that_does_not_propagate_keeps_its_lines(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(logging.getLogger(name), "propagate", False)
    monkeypatch.setattr(logging.getLogger(name), "handlers", [logging.NullHandler()])

    request_line.write(logging.INFO, TEMPLATE, IDS, values_with(), {})

    assert handler.stream.lines() == []


def test_a_stream_that_cannot_be_written_costs_no_answer(
    handler: pipeline.LineHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler.stream.detach()

    request_line.write(logging.INFO, TEMPLATE, IDS, values_with(), {})
