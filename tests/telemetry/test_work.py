"""Commands and traced functions: an ID, a root span and one line of their own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from opentelemetry.trace import StatusCode

import telemetry
from telemetry.logs import pipeline
from tests.conftest import Lines, Spans

pytestmark = pytest.mark.django_db


def lines_of(log_lines: Lines, logger: str) -> list[dict[str, object]]:
    return [line for line in log_lines() if line["logger"] == logger]


def test_a_command_has_one_line_and_one_trace(log_lines: Lines, spans: Spans) -> None:
    call_command("check")

    (line,) = lines_of(log_lines, "telemetry.command")
    (root,) = [span for span in spans() if span.name == "manage.py check"]
    assert root.context is not None
    assert line["operation"] == "manage.py check"
    assert line["correlation_id"] == line["trace_id"] == f"{root.context.trace_id:032x}"
    assert line["level"] == "info"


def test_a_command_that_fails_says_why(log_lines: Lines, spans: Spans) -> None:
    class Command(BaseCommand):
        def handle(self, *args: object, **options: object) -> None:
            raise CommandError("no such file")

    with pytest.raises(CommandError):
        call_command(Command())

    (line,) = lines_of(log_lines, "telemetry.command")
    assert line["level"] == "error"
    assert line["exception"]["message"] == "no such file"  # type: ignore[index]
    assert spans()[-1].status.status_code is StatusCode.ERROR


def test_a_command_inside_a_command_is_part_of_it(log_lines: Lines) -> None:
    class Command(BaseCommand):
        def handle(self, *args: object, **options: object) -> None:
            call_command("check")

    call_command(Command())

    assert len(lines_of(log_lines, "telemetry.command")) == 1


@pytest.mark.parametrize(
    ("name", "shown"), [(None, ""), (b"pack", "pack"), (7, "7"), ("\ud800", "?")]
)
def test_work_of_any_name_has_its_span_and_its_line(
    log_lines: Lines, spans: Spans, name: str, shown: str
) -> None:
    with telemetry.traced(name):
        pass

    assert spans()[-1].name == shown
    (line,) = lines_of(log_lines, "telemetry.work")
    assert (line["operation"], line["message"]) == (shown, f"{shown} done")


def test_a_traced_function_is_work_of_its_own(log_lines: Lines, spans: Spans) -> None:
    log = telemetry.get_logger("shop")

    @telemetry.traced("settle")
    def settle() -> str | None:
        with telemetry.get_tracer().start_as_current_span("inner"):
            log.info("settling")
        return telemetry.get_correlation_id()

    found = settle(), settle()

    assert found[0] != found[1]
    assert [line["correlation_id"] for line in lines_of(log_lines, "telemetry.work")] == [*found]
    assert [line["correlation_id"] for line in lines_of(log_lines, "shop")] == [*found]
    inner, root = spans()[:2]
    assert inner.parent == root.context
    assert telemetry.get_correlation_id() is None


def test_a_traced_coroutine(log_lines: Lines) -> None:
    @telemetry.traced("settle")
    async def settle() -> str | None:
        await asyncio.sleep(0.01)
        return telemetry.get_correlation_id()

    async def both() -> list[str | None]:
        return await asyncio.gather(settle(), settle())

    first, second = asyncio.run(both())

    assert first != second
    assert len(lines_of(log_lines, "telemetry.work")) == 2


def test_a_generator_is_refused_where_it_is_written() -> None:
    with pytest.raises(TypeError, match=r"rows.*generator"):

        @telemetry.traced("rows")
        def rows() -> Iterator[int]:
            yield 1

    with pytest.raises(TypeError, match=r"rows.*generator"):

        @telemetry.traced("rows")
        async def asynchronous_rows() -> AsyncIterator[int]:
            yield 1


def test_an_exception_passes_and_is_told_once(log_lines: Lines, spans: Spans) -> None:
    @telemetry.traced("settle")
    def settle() -> None:
        raise ValueError("empty")

    with pytest.raises(ValueError, match="empty"):
        settle()

    (line,) = lines_of(log_lines, "telemetry.work")
    assert line["level"] == "error"
    (event,) = spans()[-1].events
    assert event.name == "exception"


def test_levels_of_single_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVELS", "shop.quiet=ERROR, shop.loud=debug")
    pipeline._set_levels()
    try:
        assert logging.getLogger("shop.quiet").level == logging.ERROR
        assert logging.getLogger("shop.loud").level == logging.DEBUG
    finally:
        for name in ("shop.quiet", "shop.loud"):
            logging.getLogger(name).setLevel(logging.NOTSET)


def test_an_exception_that_cannot_be_described_is_raised_as_it_is(
    log_lines: Lines, spans: Spans
) -> None:
    class OddError(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise RuntimeError("no notes")

    raised = OddError("odd")
    with pytest.raises(OddError) as found, telemetry.traced("work"):
        raise raised

    assert found.value is raised
    assert [span.name for span in spans()] == ["work"]
    (line,) = log_lines()
    assert (line["level"], line["reason"]) == ("error", "RuntimeError")
    assert "work" in line["message"]
