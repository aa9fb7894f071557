"""Instrumentations of others beside ours: each call and each statement has one span."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import requests
from django.db import connection
from django.db.backends.sqlite3.base import DatabaseWrapper
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.instrumentation import dbapi
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.instrumentation.utils import (
    is_http_instrumentation_enabled,
    is_instrumentation_enabled,
    suppress_http_instrumentation,
    suppress_instrumentation,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind

import telemetry
from telemetry.tracing.suppression import suppressed
from tests.conftest import Sample, Spans
from tests.telemetry.receiver import Receiver
from tests.telemetry.wire import Wire

pytestmark = pytest.mark.django_db

Block = Callable[[], AbstractContextManager[Any]]


@contextmanager
def by_plain_key() -> Iterator[None]:
    token = context_api.attach(context_api.set_value("suppress_instrumentation", True))
    try:
        yield
    finally:
        context_api.detach(token)


def client_spans(spans: Spans) -> list[ReadableSpan]:
    return [span for span in spans() if span.kind is SpanKind.CLIENT]


@pytest.fixture
def sqlite() -> Iterator[Callable[[], DatabaseWrapper]]:
    """Opens a database in memory as Django does."""
    opened: list[DatabaseWrapper] = []

    def open_one() -> DatabaseWrapper:
        settings = {
            **connection.settings_dict,
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": ":memory:",
            "OPTIONS": {},
        }
        made = DatabaseWrapper(settings, "lite")
        opened.append(made)
        made.connect()
        return made

    yield open_one
    for made in opened:
        made.close()


def ask(database: Any) -> None:
    with telemetry.traced("work"), database.cursor() as cursor:
        cursor.execute("SELECT 7")
        assert cursor.fetchone() == (7,)


@pytest.mark.parametrize("block", [suppress_instrumentation, by_plain_key, suppressed])
def test_no_spans_where_instrumentation_is_suppressed(
    receiver: Receiver, spans: Spans, sample: Sample, block: Block
) -> None:
    before = sample("database_queries_total", operation="SELECT", table="none")

    with telemetry.traced("work"), block():
        requests.post(receiver.url, b"", timeout=5)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    assert [span.name for span in spans()] == ["work"]
    headers, _ = receiver.received[0]
    assert "traceparent" not in headers
    # What runs is counted all the same.
    assert sample("database_queries_total", operation="SELECT", table="none") == before + 1


def test_a_call_whose_span_somebody_else_makes_is_counted_and_carries_our_id(
    receiver: Receiver, spans: Spans, sample: Sample
) -> None:
    labels = {"host": "127.0.0.1", "method": "POST", "status": "200"}
    before = sample("http_client_requests_total", **labels)

    with telemetry.traced("work"), suppress_http_instrumentation():
        requests.post(receiver.url, b"", timeout=5)
        correlation_id = telemetry.get_correlation_id()

    assert client_spans(spans) == []
    headers, _ = receiver.received[0]
    assert headers["X-Correlation-ID"] == correlation_id
    assert sample("http_client_requests_total", **labels) == before + 1


def test_beside_the_instrumentation_of_requests_a_call_has_one_span(
    receiver: Receiver, spans: Spans
) -> None:
    receiver.answers = [(307, {"Location": receiver.url + "/next"}, b"")]
    RequestsInstrumentor().instrument()
    try:
        with telemetry.traced("work"):
            requests.post(receiver.url, b"", timeout=5)
    finally:
        RequestsInstrumentor().uninstrument()

    found = client_spans(spans)
    sent = [headers["traceparent"].split("-")[2] for headers, _ in receiver.received]
    assert len(sent) == 2
    # Theirs is outside and follows the redirect within one span.
    assert len(found) == len({span.context.span_id for span in found}) <= 2
    assert set(sent) <= {f"{span.context.span_id:016x}" for span in found}


def test_statements_of_sqlite_have_one_span(
    spans: Spans, sqlite: Callable[[], DatabaseWrapper]
) -> None:
    ask(sqlite())
    ours = client_spans(spans)
    SQLite3Instrumentor().instrument()
    try:
        ask(sqlite())
    finally:
        SQLite3Instrumentor().uninstrument()
    both = client_spans(spans)

    assert [span.attributes["db.system.name"] for span in ours if span.attributes] == ["sqlite"]
    (theirs,) = both[len(ours) :]
    assert theirs.instrumentation_scope is not None
    assert theirs.instrumentation_scope.name.startswith("opentelemetry.instrumentation")


def test_only_the_instrumented_connection_is_theirs(
    spans: Spans, sqlite: Callable[[], DatabaseWrapper]
) -> None:
    plain, instrumented = sqlite(), sqlite()
    instrumented.connection = dbapi.instrument_connection(
        "theirs", instrumented.connection, "sqlite"
    )

    ask(plain)
    ask(instrumented)

    scopes = [span.instrumentation_scope.name for span in client_spans(spans)]  # type: ignore[union-attr]
    assert scopes == ["telemetry.db", "theirs"]


def test_wrapping_any_drivers_connect_makes_the_spans_theirs(
    spans: Spans, sqlite: Callable[[], DatabaseWrapper]
) -> None:
    """As the instrumentations of mysqlclient and PyMySQL do it, with a driver that is here."""
    dbapi.wrap_connect("theirs", sqlite3.dbapi2, "connect", "mysql")
    try:
        ask(sqlite())
    finally:
        dbapi.unwrap_connect(sqlite3.dbapi2, "connect")

    scopes = [span.instrumentation_scope.name for span in client_spans(spans)]  # type: ignore[union-attr]
    assert scopes == ["theirs"]


class Calling(SpanExporter):
    """An exporter that looks at what the instrumentations see while it exports."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.enabled: list[bool] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.enabled += [is_instrumentation_enabled(), is_http_instrumentation_enabled()]
        self.enabled.append(bool(context_api.get_value("suppress_http_instrumentation")) is False)
        requests.post(self.url, b"", timeout=5)
        return SpanExportResult.SUCCESS


def test_an_export_is_no_work_of_the_service(wire: Wire, receiver: Receiver, spans: Spans) -> None:
    exporter = Calling(receiver.url)
    wire.queue.use(exporter)
    RequestsInstrumentor().instrument()
    try:
        wire.tracer.start_span("span").end()
        assert wire.provider.force_flush()
    finally:
        RequestsInstrumentor().uninstrument()

    assert exporter.enabled == [False, False, False]
    assert client_spans(spans) == []
    assert trace.get_current_span() is trace.INVALID_SPAN
