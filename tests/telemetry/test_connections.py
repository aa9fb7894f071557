"""Connections and pools, by what the scrape tells of them."""

from __future__ import annotations

from typing import Any

import psycopg_pool
import pytest
import requests
from django.contrib.auth.models import Group
from django.db import ConnectionHandler, OperationalError, connection, transaction

from telemetry import runtime
from telemetry.db import pools
from telemetry.health import Readiness
from testing.postgres import free_port
from testing.servers import Server, gunicorn, poll
from tests.conftest import Lines, Sample, samples

pytestmark = pytest.mark.django_db


def database(alias: str, **changes: Any) -> Any:
    """A connection of its own, to this test's database but for the changes."""
    settings = {**connection.settings_dict, **changes}
    return ConnectionHandler({"default": settings, alias: settings})[alias]


def test_the_pool_is_measured(sample: Sample) -> None:
    connection.ensure_connection()

    pools.refresh()

    wanted = connection.settings_dict["OPTIONS"]["pool"]["max_size"]
    assert sample("database_pool_max_connections", database="default") == wanted
    assert sample("database_pool_connections", database="default", state="used") >= 1
    assert sample("database_pool_connections", database="default", state="idle") >= 0
    assert sample("database_pool_requests_waiting", database="default") == 0


def test_a_server_that_is_away_is_a_failed_attempt(sample: Sample) -> None:
    away = database("away", PORT=str(free_port()), OPTIONS={"connect_timeout": 1})

    with pytest.raises(OperationalError):
        away.ensure_connection()

    assert sample("database_connections_total", database="away") == 1
    labels = {"database": "away", "type": "OperationalError"}
    assert sample("database_connection_errors_total", **labels) == 1


def test_the_question_whether_we_are_ready_takes_nothing_from_the_pool() -> None:
    connection.ensure_connection()
    before = connection.pool.get_stats()

    assert Readiness().problem() == ""

    after = connection.pool.get_stats()
    for number in ("requests_num", "pool_size", "pool_available"):
        assert after.get(number, 0) == before.get(number, 0), number


def test_a_pool_that_has_nothing_to_give_is_a_failed_attempt(sample: Sample) -> None:
    small = {"min_size": 1, "max_size": 1, "timeout": 0.1}
    first = database("small", OPTIONS={"pool": small})
    second = first.copy()
    try:
        first.ensure_connection()
        with pytest.raises((OperationalError, psycopg_pool.PoolTimeout)):
            second.ensure_connection()
    finally:
        first.close()
        first.close_pool()

    assert sample("database_connections_total", database="small") == 2
    assert sample("database_connection_duration_seconds_count", database="small") == 2
    assert sample("database_connection_duration_seconds_sum", database="small") >= 0.1
    labels = {"database": "small", "type": "PoolTimeout"}
    assert sample("database_connection_errors_total", **labels) == 1


@pytest.mark.django_db(transaction=True)
def test_transactions_and_savepoints_are_statements(sample: Sample) -> None:
    def counted() -> dict[str, float]:
        verbs = ("SAVEPOINT", "RELEASE", "ROLLBACK")
        found = {
            verb: sample("database_queries_total", operation=verb, table="none") for verb in verbs
        }
        labels = {"operation": "INSERT", "table": "auth_group"}
        return {**found, "INSERT": sample("database_queries_total", **labels)}

    before = counted()

    with transaction.atomic():
        with transaction.atomic():
            Group.objects.create(name="kept")
        with transaction.atomic():
            Group.objects.create(name="undone")
            transaction.set_rollback(True)

    after = counted()
    assert {verb: after[verb] - before[verb] for verb in before} == {
        "SAVEPOINT": 2,
        "RELEASE": 2,
        "ROLLBACK": 1,
        "INSERT": 2,
    }


@pytest.mark.servers
def test_a_database_without_its_driver_costs_nothing_else(servers_database: str) -> None:
    """Another service's, in shared settings: what runs beside the requests goes on without it."""
    server = Server(
        gunicorn(),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.missing_driver",
        },
    )
    try:
        assert server.get("/query/").status_code == 200
        poll(lambda: _measured(server), 30, "memory and pools are not measured")
        port = requests.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=5)
        lines = server.log_lines()
    finally:
        server.stop()

    assert port.status_code == 200
    assert [line["message"] for line in lines if line["level"] in {"warning", "error"}] == []


def _measured(server: Server) -> bool:
    found = samples(server.scrape())
    pool = ("database_pool_max_connections", frozenset({("database", "default")}))
    return found.get(pool, 0) > 0 and found["process_resident_memory_bytes", frozenset()] > 0


def test_a_step_that_keeps_failing_is_logged_once(log_lines: Lines) -> None:
    def fails() -> None:
        raise failures.pop()

    failures: list[Exception] = [KeyError("c"), ValueError("b"), ValueError("a")]
    for _ in range(3):
        runtime._do(fails)

    kinds = [line["exception"]["type"] for line in log_lines()]
    assert kinds == ["ValueError", "KeyError"]
