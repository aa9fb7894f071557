"""Statements that Django's execute wrappers do not see, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import ConnectionHandler, DataError, ProgrammingError, connection, transaction
from django.test import Client
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

import telemetry
from tests.conftest import Sample, Spans

pytestmark = [pytest.mark.urls("tests.telemetry.site.urls"), pytest.mark.django_db]


def counter(sample: Sample, operation: str, table: str) -> Callable[[], float]:
    before = sample("database_queries_total", operation=operation, table=table)
    return lambda: sample("database_queries_total", operation=operation, table=table) - before


def test_copy_in_and_out(sample: Sample) -> None:
    copies = counter(sample, "COPY", "auth_group")

    with connection.cursor() as cursor:
        with cursor.copy("COPY auth_group (name) FROM STDIN") as copy:
            copy.write_row(("clerks",))
        with cursor.copy("COPY auth_group (name) TO STDOUT") as copy:
            rows = b"".join(bytes(piece) for piece in copy)

    assert rows == b"clerks\n"
    assert Group.objects.filter(name="clerks").exists()
    assert copies() == 2


def test_another_vendors_database_beside_postgresqls_instrumentation(
    spans: Spans, sample: Sample
) -> None:
    """Theirs is psycopg's alone: the spans of others stay ours."""
    connection.ensure_connection()
    PsycopgInstrumentor.instrument_connection(connection.connection)
    selects = counter(sample, "SELECT", "shelf")
    engine = "django.db.backends.sqlite3"
    other = ConnectionHandler({"default": {"ENGINE": engine, "NAME": ":memory:"}})["default"]

    with telemetry.traced("look"), other.cursor() as cursor:
        cursor.execute("CREATE TABLE shelf (id integer)")
        cursor.executemany("INSERT INTO shelf VALUES (%s)", [[1], [2]])
        cursor.execute("SELECT count(*) FROM shelf")
        assert cursor.fetchall() == [(2,)]
        Group.objects.count()
    other.close()
    PsycopgInstrumentor.uninstrument_connection(connection.connection)

    names = [span.name for span in spans()]
    assert sorted(names) == ["CREATE shelf", "INSERT shelf", "SELECT", "SELECT shelf", "look"]
    assert selects() == 1


def test_a_copy_that_fails_is_an_error_of_django(sample: Sample) -> None:
    labels = {"operation": "COPY", "table": "auth_group", "type": "StringDataRightTruncation"}
    before = sample("database_errors_total", **labels)

    with (
        pytest.raises(DataError),
        transaction.atomic(),
        connection.cursor() as cursor,
        cursor.copy("COPY auth_group (name) FROM STDIN") as copy,
    ):
        copy.write_row(("x" * 500,))

    assert sample("database_errors_total", **labels) == before + 1


def test_callproc(sample: Sample) -> None:
    calls = counter(sample, "CALL", "none")

    with connection.cursor() as cursor:
        cursor.callproc("lower", ["LOUD"])
        assert cursor.fetchone() == ("loud",)
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.callproc("there_is_no_such_function")

    assert calls() == 2


def test_each_fetch_of_a_server_side_cursor_counts(sample: Sample) -> None:
    for number in range(25):
        get_user_model().objects.create(username=f"user{number}")
    fetches = counter(sample, "FETCH", "auth_user")
    selects = counter(sample, "SELECT", "auth_user")

    found = list(get_user_model().objects.filter(username__startswith="user").iterator(10))

    assert len(found) == 25
    assert selects() == 1
    # 10, 10, 5, and one that finds the end.
    assert fetches() in {3, 4}


def test_other_cursors_fetch_without_being_counted(sample: Sample) -> None:
    fetches = counter(sample, "FETCH", "auth_user")

    list(get_user_model().objects.all())

    assert fetches() == 0


def test_fetches_are_spans_of_the_request(client: Client, spans: Spans) -> None:
    get_user_model().objects.create(username="anna")

    assert client.get("/server-cursor/").content == b"1"

    # The test's own transaction makes savepoints of the request's.
    own = {"SAVEPOINT", "RELEASE"}
    names = [span.name for span in spans() if span.name not in own]
    assert names[0] == "SELECT auth_user"
    assert set(names[1:-1]) == {"FETCH auth_user"}
    assert names[-1] == "GET /server-cursor/"
