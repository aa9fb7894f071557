"""``traced`` and spans inside generators, which end wherever and whenever somebody closes them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import connection
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import telemetry
from telemetry.context import current
from tests.conftest import Lines, Spans

pytestmark = pytest.mark.django_db

#: The two ways to have a span around what a generator does.
Begin = Callable[[str], AbstractContextManager[Any]]
BLOCKS: dict[str, Begin] = {
    "traced": telemetry.traced,
    "start_as_current_span": lambda name: telemetry.get_tracer().start_as_current_span(name),
}
each_block = pytest.mark.parametrize("begin", BLOCKS.values(), ids=BLOCKS)


@pytest.fixture(autouse=True)
def nothing_stays(log_lines: Lines) -> Iterator[None]:
    """No test leaves anything current, and none writes an error."""
    yield
    assert current.get() is None
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert [line for line in log_lines() if line["level"] in {"warning", "error"}] == []


def rows(begin: Begin, name: str = "rows") -> Iterator[int]:
    with begin(name):
        yield from range(10)


async def async_rows(begin: Begin, name: str = "rows") -> AsyncIterator[int]:
    with begin(name):
        for number in range(10):
            await asyncio.sleep(0)
            yield number


def ended(spans: Spans, *names: str) -> None:
    """The spans ended, and none of them failed."""
    found = [span for span in spans() if not span.name.startswith("SELECT")]
    assert sorted(span.name for span in found) == sorted(names)
    for span in found:
        assert span.status.status_code is StatusCode.UNSET
        assert span.events == ()


@each_block
def test_another_task_closes_an_asynchronous_generator(spans: Spans, begin: Begin) -> None:
    async def main() -> None:
        generator = async_rows(begin)

        async def first() -> int:
            return await anext(generator)

        assert await asyncio.create_task(first()) == 0
        await asyncio.create_task(generator.aclose())  # type: ignore[attr-defined]

    asyncio.run(main())

    ended(spans, "rows")


@each_block
def test_each_piece_is_read_by_another_task(spans: Spans, begin: Begin) -> None:
    async def main() -> list[int]:
        generator = async_rows(begin)
        return [
            await asyncio.create_task(anext(generator))  # type: ignore[arg-type]
            for _ in range(10)
        ] + [await anext(generator, -1)]

    assert asyncio.run(main()) == [*range(10), -1]

    ended(spans, "rows")


@each_block
def test_a_break_out_of_an_asynchronous_generator(spans: Spans, begin: Begin) -> None:
    async def main() -> None:
        async for _ in async_rows(begin):
            break
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())

    ended(spans, "rows")


@each_block
def test_a_break_out_of_a_generator(spans: Spans, begin: Begin) -> None:
    for _ in rows(begin):
        break

    ended(spans, "rows")


@each_block
def test_a_generator_that_the_garbage_collector_closes(spans: Spans, begin: Begin) -> None:
    """In a thread that has nothing to do with it."""

    def begin_one() -> None:
        generator = rows(begin)
        next(generator)
        cycle: list[Any] = [generator]
        cycle.append(cycle)

    gc.disable()
    try:
        begun = threading.Thread(target=begin_one)
        begun.start()
        begun.join()
        collected = threading.Thread(target=gc.collect)
        collected.start()
        collected.join()
    finally:
        gc.enable()

    ended(spans, "rows")


@each_block
def test_a_generator_closed_in_another_context(spans: Spans, begin: Begin) -> None:
    generator = rows(begin)
    contextvars.Context().run(next, generator)
    contextvars.Context().run(generator.close)  # type: ignore[attr-defined]

    ended(spans, "rows")


@each_block
def test_generators_that_are_read_in_turns(spans: Spans, begin: Begin) -> None:
    """The first one ends first: nothing of it stays current when the second ends."""
    first, second = rows(begin, "first"), rows(begin, "second")
    next(first), next(second), next(first)

    first.close()  # type: ignore[attr-defined]
    next(second)
    second.close()  # type: ignore[attr-defined]

    ended(spans, "first", "second")


@each_block
def test_generators_that_take_over_from_each_other_keep_nothing(spans: Spans, begin: Begin) -> None:
    before = rows(begin)
    next(before)
    for _ in range(50):
        following = rows(begin)
        next(following)
        before.close()  # type: ignore[attr-defined]
        before = following
    before.close()  # type: ignore[attr-defined]

    ended(spans, *["rows"] * 51)


def test_a_cancelled_task_has_not_failed(log_lines: Lines, spans: Spans) -> None:
    @telemetry.traced("waits")
    async def waits() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    ended(spans, "waits")
    (line,) = [line for line in log_lines() if line["logger"] == "telemetry.work"]
    assert line["level"] == "info"


def test_the_line_of_closed_work_is_about_that_work(log_lines: Lines, spans: Spans) -> None:
    """It is closed inside other work, and has its own statements and IDs."""

    def queries() -> Iterator[None]:
        with telemetry.traced("inner"), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            yield

    generator = queries()
    contextvars.Context().run(next, generator)

    with telemetry.traced("outer"):
        outer = telemetry.get_correlation_id()
        generator.close()  # type: ignore[attr-defined]
        assert telemetry.get_correlation_id() == outer
        logging.getLogger("shop").info("still the outer one")

    inner_line, said, outer_line = log_lines()
    by_name = {span.name: span for span in spans()}
    assert (inner_line["operation"], inner_line["db_queries"]) == ("inner", 1)
    assert inner_line["correlation_id"] == inner_line["trace_id"] != outer
    assert f"{by_name['inner'].context.span_id:016x}" == inner_line["span_id"]
    assert said["correlation_id"] == outer_line["correlation_id"] == outer
    assert said["span_id"] == outer_line["span_id"]


@pytest.mark.parametrize("ends", ["break", "thread"])
def test_what_comes_after_work_that_was_closed_elsewhere_is_work_of_its_own(
    log_lines: Lines, spans: Spans, ends: str
) -> None:
    async def breaks() -> None:
        """The event loop closes the generator in a task of its own."""
        async for _ in async_rows(telemetry.traced):
            break
        gc.collect()
        await asyncio.sleep(0.01)
        for _ in range(2):
            with telemetry.traced("later"):
                logging.getLogger("shop").info("inside")

    def is_closed_by_a_thread() -> None:
        generator = rows(telemetry.traced)
        next(generator)
        thread = threading.Thread(target=generator.close)  # type: ignore[attr-defined]
        thread.start()
        thread.join()
        for _ in range(2):
            with telemetry.traced("later"):
                logging.getLogger("shop").info("inside")

    if ends == "break":
        asyncio.run(breaks())
    else:
        is_closed_by_a_thread()

    found = log_lines()
    done = [line for line in found if line["logger"] == "telemetry.work"]
    assert [line["operation"] for line in done] == ["rows", "later", "later"]
    inside = [line["correlation_id"] for line in found if line["logger"] == "shop"]
    assert inside == [line["correlation_id"] for line in done[1:]]
    assert len({line["trace_id"] for line in done}) == 3
    assert [span.parent for span in spans()] == [None] * 3


@each_block
def test_an_exception_in_a_generator_is_one(log_lines: Lines, spans: Spans, begin: Begin) -> None:
    def fails() -> Iterator[int]:
        with begin("outer"):
            try:
                with begin("fails"):
                    yield 1
                    int("none")
            except ValueError:
                yield 2

    assert list(fails()) == [1, 2]

    failed, outer = spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["exception"]
    assert outer.status.status_code is StatusCode.UNSET
