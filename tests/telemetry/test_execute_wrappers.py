"""``connection.execute_wrapper`` around the first statement of a connection: the block's wrapper is
gone at its end, and telemetry's stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import ConnectionHandler, connection, connections

import telemetry
from tests.conftest import Sample, Spans

pytestmark = pytest.mark.django_db(transaction=True)

SELECTS = {"operation": "SELECT", "table": "auth_group"}


class Wrapper:
    """A user's wrapper that counts what passes it."""

    def __init__(self) -> None:
        self.passed = 0

    def __call__(self, execute: Any, *statement: Any) -> Any:
        self.passed += 1
        return execute(*statement)


def in_a_new_thread(work: Callable[[], None]) -> None:
    """Run ``work`` where no connection was made yet."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            problems.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]


def one_block(wrapper: Wrapper) -> None:
    with connection.execute_wrapper(wrapper):
        Group.objects.exists()


def nested_blocks(wrapper: Wrapper) -> None:
    with connection.execute_wrapper(Wrapper()), connection.execute_wrapper(wrapper):
        Group.objects.exists()


def closed_and_reopened(wrapper: Wrapper) -> None:
    with connection.execute_wrapper(wrapper):
        Group.objects.exists()
        connection.close()
        Group.objects.exists()


def opened_before(wrapper: Wrapper) -> None:
    connection.ensure_connection()
    with connection.execute_wrapper(wrapper):
        Group.objects.exists()


def failing_block(wrapper: Wrapper) -> None:
    with suppress(ZeroDivisionError), connection.execute_wrapper(wrapper):
        Group.objects.exists()
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "block", [one_block, nested_blocks, closed_and_reopened, opened_before, failing_block]
)
def test_a_threads_first_connection(
    block: Callable[[Wrapper], None], sample: Sample, spans: Spans
) -> None:
    wrapper = Wrapper()
    before = sample("database_queries_total", **SELECTS)
    inside: list[float] = []

    def work() -> None:
        with telemetry.traced("work"):
            block(wrapper)
            inside.append(wrapper.passed)
            for _ in range(3):
                Group.objects.exists()

    in_a_new_thread(work)

    assert inside[0] >= 1
    assert wrapper.passed == inside[0]
    assert sample("database_queries_total", **SELECTS) == before + inside[0] + 3
    assert [span.name for span in spans()].count("SELECT auth_group") == inside[0] + 3


def test_a_block_leaves_the_wrappers_as_they_were() -> None:
    def work() -> None:
        before = list(connection.execute_wrappers)
        with connection.execute_wrapper(Wrapper()):
            Group.objects.exists()
        assert connection.execute_wrappers == before

    in_a_new_thread(work)


def test_a_blocker_blocks_in_its_block_alone() -> None:
    def blocker(*_statement: Any) -> None:
        raise RuntimeError("no queries here")

    def work() -> None:
        with pytest.raises(RuntimeError), connection.execute_wrapper(blocker):
            Group.objects.exists()
        Group.objects.exists()

    in_a_new_thread(work)


def test_every_alias_and_a_copy(sample: Sample) -> None:
    databases = ConnectionHandler(
        {"default": connection.settings_dict, "other": connection.settings_dict}
    )
    wrapper = Wrapper()
    before = sample("database_queries_total", **SELECTS)

    def work() -> None:
        for made in (databases["other"], databases["default"].copy()):
            with made.execute_wrapper(wrapper), made.cursor() as cursor:
                cursor.execute("SELECT 1 FROM auth_group")
            with made.cursor() as cursor:
                cursor.execute("SELECT 1 FROM auth_group")
            made.close()
        databases["other"].close_pool()

    in_a_new_thread(work)

    assert wrapper.passed == 2
    assert sample("database_queries_total", **SELECTS) == before + 4


def test_asynchronous_code(sample: Sample) -> None:
    wrapper = Wrapper()
    before = sample("database_queries_total", **SELECTS)

    def first_in_its_thread() -> None:
        one_block(wrapper)
        Group.objects.exists()
        connections.close_all()

    async def work() -> None:
        await sync_to_async(first_in_its_thread, thread_sensitive=False)()

    asyncio.run(work())

    assert wrapper.passed == 1
    assert sample("database_queries_total", **SELECTS) == before + 2


def test_a_wrapper_that_puts_settings_in_front(sample: Sample, spans: Spans) -> None:
    """As django-pghistory's does, whose context begins before the first statement."""
    labels = {"operation": "INSERT", "table": "auth_group"}
    before = sample("database_queries_total", **labels)

    def with_context(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        return execute(
            f"SELECT set_config('history.id', %s, true); {sql}", ["7", *(params or ())], *rest
        )

    def work() -> None:
        with telemetry.traced("work"), connection.execute_wrapper(with_context):
            Group.objects.bulk_create([Group(name="with context")])
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('history.id', %s, true); "
                    "INSERT INTO auth_group (name) VALUES (%s)",
                    ["7", "sent so"],
                )

    in_a_new_thread(work)

    assert sample("database_queries_total", **labels) == before + 2
    assert [span.name for span in spans()].count("INSERT auth_group") == 2
