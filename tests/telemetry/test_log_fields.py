"""What a log record keeps: exceptions whole, arguments that do not fit, names that are taken."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.handlers
import pickle
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
import structlog
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.utils.functional import SimpleLazyObject

import telemetry
from telemetry.logs import pipeline
from testing.servers import Server, gunicorn, uvicorn
from tests.conftest import Lines

log = telemetry.get_logger("tests.fields")
plain = logging.getLogger("tests.fields")

Raise = Callable[[], None]


def breaks() -> None:
    raise ValueError("it broke")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """Call it for the records of this module's logger.

    pytest's own handlers, which raise for arguments that do not fit, do not get them.
    """
    written = io.BytesIO()
    handler = pipeline.LineHandler(io.TextIOWrapper(written, "utf-8", write_through=True))
    handler.setFormatter(pipeline.formatter())
    monkeypatch.setattr(plain, "callHandlers", handler.handle)
    return lambda: [json.loads(line) for line in written.getvalue().decode().splitlines()]


def caught(function: Raise) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def written(lines: Lines, error: BaseException) -> dict[str, Any]:
    plain.error("failed", exc_info=error)
    log.error("failed", exc_info=error)
    one, other = lines()
    assert one["exception"] == other["exception"]
    told: dict[str, Any] = one["exception"]
    return told


def test_an_exception_has_its_notes(lines: Lines) -> None:
    error = ValueError("bad row")
    error.add_note("in line 7")
    error.add_note("password=hunter2")

    assert written(lines, error)["notes"] == ["in line 7", "password=***"]


def test_an_exception_has_the_chain_of_its_causes(lines: Lines) -> None:
    def fails() -> None:
        try:
            try:
                raise KeyError("first")  # noqa: TRY301
            except KeyError:
                raise ValueError("second, token=hunter2")  # noqa: B904
        except ValueError as error:
            raise RuntimeError("third") from error

    told = written(lines, caught(fails))

    assert (told["type"], told["message"]) == ("RuntimeError", "third")
    assert [(cause["relation"], cause["type"], cause["message"]) for cause in told["causes"]] == [
        ("cause", "ValueError", "second, token=***"),
        ("context", "KeyError", "'first'"),
    ]
    for each in (told, *told["causes"]):
        assert each["frames"][-1].endswith(" fails")


def test_a_context_that_was_suppressed_is_left_out(lines: Lines) -> None:
    def fails() -> None:
        try:
            raise KeyError("first")  # noqa: TRY301
        except KeyError:
            raise ValueError("second") from None

    assert "causes" not in written(lines, caught(fails))


def test_the_members_of_a_group_are_there_with_their_own_causes_and_notes(lines: Lines) -> None:
    async def fails(number: int) -> None:
        try:
            raise KeyError(number)  # noqa: TRY301
        except KeyError as error:
            wrong = ValueError(f"task {number}")
            wrong.add_note("noted")
            raise wrong from error

    async def both() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(2):
                tasks.create_task(fails(number))

    told = written(lines, caught(lambda: asyncio.run(both())))

    assert told["type"] == "ExceptionGroup"
    assert {member["message"] for member in told["exceptions"]} == {"task 0", "task 1"}
    for member in told["exceptions"]:
        assert member["notes"] == ["noted"]
        assert member["frames"][-1].endswith(" fails")
        assert member["causes"][0]["type"] == "KeyError"


def test_a_group_in_a_group(lines: Lines) -> None:
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [OSError("deep")]), KeyError("x")])

    inner, other = written(lines, group)["exceptions"]

    assert (inner["message"], other["type"]) == ("inner (1 sub-exception)", "KeyError")
    assert inner["exceptions"][0]["message"] == "deep"


def circle(length: int) -> BaseException:
    errors = [ValueError(str(number)) for number in range(length)]
    for number, error in enumerate(errors):
        error.__cause__ = errors[(number + 1) % length]
    return errors[0]


def chain(length: int) -> BaseException:
    error: BaseException = ValueError("x" * 5000)
    for _ in range(length):
        above = ValueError("x" * 5000)
        above.__cause__ = error
        error = above
    return error


class OddError(Exception):
    __notes__ = 7  # type: ignore[assignment]

    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no cause")


class OddGroup(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no members")


class OddNotesError(Exception):
    def __init__(self) -> None:
        super().__init__("odd")
        self.__notes__: Any = [7, b"\xff", "x" * 100_000, object()]


@pytest.mark.parametrize(
    "error",
    [
        circle(1),
        circle(3),
        chain(100),
        ExceptionGroup("many", [ValueError("x" * 5000)] * 1000),
        ExceptionGroup("many", [chain(5) for _ in range(300)]),  # type: ignore[misc]
        OddError("odd"),
        OddNotesError(),
        OddGroup("odd", [ValueError()]),
        RecursionError("maximum recursion depth exceeded"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_of_any_shape_is_bounded_and_keeps_its_type(
    lines: Lines, error: BaseException
) -> None:
    told = written(lines, error)

    assert told["type"].endswith(type(error).__name__)
    assert told["message"]
    assert len(json.dumps(told)) < 32 * 1024


def test_what_is_left_out_of_an_exception_is_counted(lines: Lines) -> None:
    group = ExceptionGroup("many", [ValueError(str(number)) for number in range(100)])

    told = written(lines, group)

    assert len(told["exceptions"]) + told["omitted"] == 100


@pytest.mark.parametrize("arguments", [("x",), (1, 2), ({"a": 1},), (object(),)])
def test_arguments_that_do_not_fit_cost_neither_traceback_nor_extra(
    lines: Lines, arguments: tuple[Any, ...]
) -> None:
    try:
        breaks()
    except ValueError:
        plain.exception("%d rows", *arguments, extra={"rows": 3})
        log.exception("%d rows", *arguments, rows=3)

    for line in lines():
        assert "%d" in line["message"]
        assert line["exception"]["message"] == "it broke"
        assert line["rows"] == 3
        assert len(line["arguments"]) == len(arguments)


class Raises:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_a_message_that_cannot_be_shown_costs_neither_traceback_nor_extra(lines: Lines) -> None:
    plain.error(Raises(), extra={"rows": 3}, exc_info=ValueError("it broke"))

    (line,) = lines()
    assert (line["rows"], line["exception"]["message"]) == (3, "it broke")


RESERVED = ["timestamp", "level", "logger", "exception", "exc_info", "event"]
IDS = ["correlation_id", "trace_id", "span_id"]
#: With which structlog's formatter marks what comes from Python's logging.
MARKS = {"_record", "_from_structlog"}


WAYS = {
    "bind": [*RESERVED, *IDS, "message", *sorted(MARKS)],
    "contextvars": [*RESERVED, *IDS, "message", *sorted(MARKS)],
    # Python's logging refuses to set "message" and "exc_info".
    "extra": sorted({*RESERVED, *IDS, *MARKS} - {"exc_info"}),
    # "event" and "exc_info" mean something to structlog.
    "keyword": sorted({*RESERVED, *IDS, *MARKS, "message"} - {"event", "exc_info"}),
    "bound logger": sorted({*RESERVED, *IDS, *MARKS, "message"} - {"event", "exc_info"}),
}


@pytest.mark.parametrize(
    ("way", "name"), [(way, name) for way, names in WAYS.items() for name in names]
)
def test_a_name_that_the_line_uses_gets_an_underscore(lines: Lines, name: str, way: str) -> None:
    @telemetry.traced("work")
    def work() -> None:
        if way == "bind":
            telemetry.bind(**{name: "given"})
        if way == "contextvars":
            structlog.contextvars.bind_contextvars(**{name: "given"})
        try:
            breaks()
        except ValueError:
            if way == "keyword":
                log.exception("said", **{name: "given"})
            elif way == "bound logger":
                log.bind(**{name: "given"}).exception("said")
            elif way == "extra":
                plain.exception("said", extra={name: "given"})
            else:
                log.exception("said")
                plain.exception("said")

    try:
        work()
    finally:
        structlog.contextvars.clear_contextvars()

    lines = [line for line in lines() if line["logger"] == "tests.fields"]
    assert len(lines) == (2 if way in {"bind", "contextvars"} else 1)
    for line in lines:
        assert line[f"{name}_"] == "given"
        assert line["message"] == "said"
        assert line["level"] == "error"
        assert line["exception"]["message"] == "it broke"
        assert "given" not in {line[own] for own in ("timestamp", *IDS)}


def test_the_traceback_of_a_record_of_another_process_is_kept(lines: Lines) -> None:
    """As SocketHandler sends it: the exception itself could not be pickled."""
    sender = logging.handlers.SocketHandler("localhost", 9)
    try:
        breaks()
    except ValueError:
        record = plain.makeRecord("far", logging.ERROR, __file__, 1, "said", (), sys.exc_info())
    received = pickle.loads(sender.makePickle(record)[4:])

    plain.handle(logging.makeLogRecord(received))

    (line,) = lines()
    assert line["message"] == "said"
    assert "ValueError: it broke" in line["exception"]["message"]
    assert "in breaks" in line["exception"]["message"]


def test_a_line_without_a_message_has_an_empty_one(lines: Lines) -> None:
    log.info(rows=3)

    (line,) = lines()
    assert (line["message"], line["rows"]) == ("", 3)


def test_two_fields_for_one_reserved_name_are_both_kept(lines: Lines) -> None:
    log.info("said", level="high", level_="low")

    (line,) = lines()
    assert {line["level"], line["level_"], line["level__"]} == {"info", "high", "low"}


def test_names_of_a_requests_line_are_free_on_other_lines(lines: Lines) -> None:
    log.info("said", status="approved", method="by hand")
    plain.info("said", extra={"status": "approved", "method": "by hand"})

    for line in lines():
        assert (line["status"], line["method"]) == ("approved", "by hand")


def test_ids_of_somebody_else_stay_where_no_work_of_ours_runs(lines: Lines) -> None:
    log.info("said", correlation_id="of a queue")

    (line,) = lines()
    assert line["correlation_id"] == "of a queue"


@pytest.mark.urls("tests.telemetry.site.urls")
def test_a_requests_own_fields_are_not_replaced_by_bound_ones(
    client: Client, log_lines: Lines
) -> None:
    client.get("/bound-oddly/")

    inside, line = log_lines()
    assert inside["status"] == "odd"
    assert (line["status"], line["status_"]) == (200, "odd")
    assert (line["level"], line["level_"]) == ("info", "odd")
    assert (line["exc_info_"], line["event_"]) == ("odd", "odd")


@pytest.mark.urls("tests.telemetry.site.urls")
@pytest.mark.parametrize("path", ["/structlog/", "/structlog-stream/"])
def test_what_structlogs_context_has_is_of_one_request(log_lines: Lines, path: str) -> None:
    for name in ("one", "two", ""):
        response = Client().get(path, {"name": name} if name else {})
        b"".join(response)  # type: ignore[arg-type]

    bound = [(line["message"], line.get("bound")) for line in log_lines()]
    # The view, its body where it is streamed, and the request's line.
    each = len(bound) // 3
    assert [name for _, name in bound] == ["one"] * each + ["two"] * each + [None] * each
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.urls("tests.telemetry.site.urls")
@pytest.mark.parametrize("path", ["/structlog/", "/structlog-async/", "/structlog-stream-async/"])
def test_what_structlogs_context_has_is_of_one_async_request(log_lines: Lines, path: str) -> None:
    async def ask() -> None:
        for name in ("one", "two", ""):
            response = await AsyncClient().get(path, {"name": name} if name else {})
            if response.streaming:
                async for _ in response:
                    pass

    async_to_sync(ask)()

    bound = [(line["message"], line.get("bound")) for line in log_lines()]
    each = len(bound) // 3
    assert [name for _, name in bound] == ["one"] * each + ["two"] * each + [None] * each


@pytest.mark.urls("tests.telemetry.site.urls")
def test_what_was_bound_before_a_request_is_there_again_behind_it(log_lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(process="worker", bound="before"):
        Client().get("/structlog/", {"name": "inside"})
        log.info("after")

    *inside, after = log_lines()
    assert {(line["process"], line["bound"]) for line in inside} == {("worker", "inside")}
    assert (after["process"], after["bound"]) == ("worker", "before")


@pytest.mark.servers
@pytest.mark.parametrize("command", [gunicorn(workers=1), uvicorn(workers=1)])
@pytest.mark.parametrize("path", ["/structlog/", "/structlog-stream/", "/structlog-async/"])
def test_a_servers_thread_takes_nothing_bound_to_its_next_request(
    servers_database: str, command: Callable[[int], list[str]], path: str
) -> None:
    environment = {
        "DATABASE_URL": servers_database,
        "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
    }
    server = Server(command, environment)
    try:
        for number in range(20):
            server.get(f"{path}?name={number}", headers={"X-Correlation-ID": f"binds-{number}"})
            server.get(path, headers={"X-Correlation-ID": f"binds-nothing-{number}"})
    finally:
        server.stop()

    bound = {
        line["correlation_id"]: line.get("bound")
        for line in server.log_lines()
        if "binds-" in line.get("correlation_id", "")
    }
    wanted = {f"binds-{number}": str(number) for number in range(20)}
    assert bound == {**wanted, **dict.fromkeys((f"binds-nothing-{n}" for n in range(20)), None)}


class Blocks:
    """A value whose text is an error of another kind each time."""

    def __init__(self) -> None:
        self.errors: Iterator[type[Exception]] = iter([RecursionError, MemoryError, StopIteration])

    def __str__(self) -> str:
        raise next(self.errors)("no text")


@pytest.mark.django_db
def test_a_lazy_value_runs_no_query(lines: Lines) -> None:
    users = get_user_model().objects
    values = {
        "rows": users.all(),
        "user": SimpleLazyObject(lambda: users.get(pk=1)),
        "nested": [{"rows": users.filter(pk=1)}],
        "manager": users,
        "values": users.values("pk"),
    }

    with CaptureQueriesContext(
        connection,
    ) as queries:
        log.info("said", **values)
        plain.info("said", extra=values)

    assert len(queries) == 0
    for line in lines():
        assert line["rows"] == f"<QuerySet of {get_user_model()._meta.label}, not evaluated>"
        assert line["user"] == "<SimpleLazyObject, not evaluated>"


@pytest.mark.django_db
def test_a_lazy_value_that_was_evaluated_is_shown(lines: Lines) -> None:
    user = get_user_model().objects.create(username="anna")
    rows = get_user_model().objects.filter(pk=user.pk)
    lazy = SimpleLazyObject(lambda: user)
    assert list(rows) == [lazy] == [user]

    log.info("said", rows=rows, user=lazy, page=Paginator([1], 1).page(1), price=Decimal("1.50"))

    (line,) = lines()
    assert (line["rows"], line["user"]) == (["anna"], "anna")
    assert (line["page"], line["price"]) == ("<Page 1 of 1>", "1.50")


@pytest.mark.parametrize("number", range(3))
def test_a_value_without_a_text_costs_its_own_field_alone(lines: Lines, number: int) -> None:
    value = Blocks()
    for _ in range(number):
        next(value.errors)

    log.info("said", value=value, other=1)

    (line,) = lines()
    assert (line["message"], line["other"]) == ("said", 1)
    assert "cannot be shown" in line["value"]


def test_the_console_shows_members_notes_and_causes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "console")
    error = ExceptionGroup("some", [ValueError("member"), KeyError("other")])
    error.add_note("noted")
    error.__cause__ = OSError("cause")

    text = pipeline.formatter().format(
        plain.makeRecord(
            "shop", logging.ERROR, __file__, 1, "failed", (), (type(error), error, None)
        )
    )

    for part in ("ValueError: member", "KeyError: 'other'", "noted", "OSError: cause"):
        assert part in text
