"""What a piece of work keeps of its statements until its end, and what it hands over before."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from opentelemetry import trace
from opentelemetry.trace import SpanKind

import telemetry
from telemetry.context import current
from telemetry.db import queries
from telemetry.middleware import TelemetryMiddleware
from tests.conftest import Sample, Spans

pytestmark = pytest.mark.django_db(transaction=True)


def run(times: int = 1) -> None:
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute("SELECT 1 FROM auth_permission LIMIT 1")


def counted(sample: Sample) -> float:
    return sample("database_queries_total", operation="SELECT", table="auth_permission") or 0.0


def told(spans: Spans) -> int:
    return sum(span.kind is SpanKind.CLIENT for span in spans())


def test_statements_are_counted_and_their_spans_told_at_the_end(
    sample: Sample, spans: Spans
) -> None:
    connection.ensure_connection()
    before = counted(sample)

    with telemetry.traced("short"):
        run(3)
        meanwhile = counted(sample), told(spans)

    assert meanwhile == (before, 0)
    assert (counted(sample), told(spans)) == (before + 3, 3)


def test_many_are_not_kept(sample: Sample, spans: Spans) -> None:
    connection.ensure_connection()
    before = counted(sample)

    with telemetry.traced("long"):
        run(queries._MOST_PENDING + 1)
        meanwhile = counted(sample), told(spans)

    assert meanwhile == (before + queries._MOST_PENDING, queries._MOST_PENDING)
    assert told(spans) == queries._MOST_PENDING + 1


def test_none_is_kept_for_long(
    sample: Sample, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that runs for an hour shows its statements meanwhile."""
    connection.ensure_connection()
    monkeypatch.setattr(queries, "_LONGEST_PENDING", 20_000_000)
    before = counted(sample)

    with telemetry.traced("slow"):
        run()
        time.sleep(0.03)
        run()
        meanwhile = counted(sample), told(spans)

    assert meanwhile == (before + 2, 2)


def test_a_thread_that_outlives_its_work_loses_nothing(sample: Sample, spans: Spans) -> None:
    before = counted(sample)
    over = threading.Event()

    def late(operation: object) -> None:
        current.set(operation)  # type: ignore[arg-type]
        try:
            over.wait(5)
            run()
        finally:
            connection.close()

    with telemetry.traced("short"):
        thread = threading.Thread(target=late, args=[current.get()])
        thread.start()
    over.set()
    thread.join()

    assert counted(sample) == before + 1


def test_a_view_that_ends_its_requests_span_keeps_those_of_its_statements(spans: Spans) -> None:
    connection.ensure_connection()

    def view(_request: HttpRequest) -> HttpResponse:
        run()
        trace.get_current_span().end()
        return HttpResponse()

    TelemetryMiddleware(view)(RequestFactory().get("/"))

    assert sorted(span.name for span in spans()) == ["GET", "SELECT auth_permission"]


def test_a_statement_behind_its_requests_end_counts_no_connection_again(sample: Sample) -> None:
    connection.close()
    before = sample("database_connections_total", database="default")
    operations = []

    def view(_request: HttpRequest) -> HttpResponse:
        operations.append(current.get())
        run()
        return HttpResponse()

    TelemetryMiddleware(view)(RequestFactory().get("/"))
    token = current.set(operations[0])
    run()
    current.reset(token)

    assert sample("database_connections_total", database="default") == before + 1


def test_outside_of_any_work_they_are_counted_at_once(sample: Sample) -> None:
    before = counted(sample)

    run(2)

    assert counted(sample) == before + 2
