"""Span processors of OpenTelemetry's SDK beside our own export, as vendors' set-ups add them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from django.db import connection
from django.test import Client
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from sentry_sdk.integrations.opentelemetry import SentrySpanProcessor
from sentry_sdk.transport import Transport

import telemetry
from telemetry.tracing import values
from telemetry.tracing.light import Fixed, LightProvider
from testing.servers import ROOT
from tests.conftest import Spans
from tests.telemetry.wire import Wire, attributes

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.telemetry.site.urls")]

Add = Callable[[SpanProcessor], None]


@pytest.fixture
def add() -> Iterator[Add]:
    """Adds a processor to the provider of this process, for this test."""
    provider = trace.get_tracer_provider()
    assert isinstance(provider, LightProvider)
    # As vendors ask before they add theirs.
    assert isinstance(provider, TracerProvider)
    yield provider.add_span_processor
    provider.shut_processors_down()


def described(span: ReadableSpan) -> tuple[Any, ...]:
    return (
        span.name,
        span.kind,
        span.context,
        span.parent,
        dict(span.attributes or {}),
        [(event.name, dict(event.attributes or {})) for event in span.events],
        span.status.status_code,
        span.resource.attributes["service.name"],
        span.instrumentation_scope and span.instrumentation_scope.name,
    )


@pytest.mark.parametrize("path", ["/custom-span/", "/fail/", "/hello/", "/stream/"])
def test_a_processor_gets_the_spans_that_are_exported(add: Add, spans: Spans, path: str) -> None:
    exporter = InMemorySpanExporter()
    add(SimpleSpanProcessor(exporter))

    response = Client(raise_request_exception=False).get(path)
    b"".join(response)
    response.close()

    exported = spans()
    assert len(exported) >= 1
    found = exporter.get_finished_spans()
    assert [described(span) for span in found] == [described(span) for span in exported]
    for ours, theirs in zip(exported, found, strict=True):
        assert abs((ours.start_time or 0) - (theirs.start_time or 0)) < 5e6
        assert (ours.end_time or 0) - (ours.start_time or 0) == (theirs.end_time or 0) - (
            theirs.start_time or 0
        )


class Noting(SpanProcessor):
    """Adds an attribute where a span begins, and keeps what it sees."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[ReadableSpan] = []
        self.shut_down = 0
        self.flushed = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        parent = trace.get_current_span(parent_context).get_span_context()
        assert parent == (span.parent or trace.INVALID_SPAN_CONTEXT)
        assert span.start_time is not None
        span.set_attribute("vendor", f"began after {len(self.started)}")
        self.started.append(span.name)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)

    def shutdown(self) -> None:
        self.shut_down += 1

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.flushed += 1
        return True


def test_what_a_processor_adds_at_the_start_is_exported(add: Add, spans: Spans) -> None:
    noting = Noting()
    add(noting)

    Client().get("/custom-span/")

    assert noting.started == ["GET", "custom", "SELECT auth_user"]
    assert [span.name for span in noting.ended] == [span.name for span in spans()]
    assert all("vendor" in (span.attributes or {}) for span in spans())


def test_a_processor_that_fails_reaches_neither_the_application_nor_the_others(
    add: Add, spans: Spans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            raise RuntimeError("no start")

        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("no end")

        def shutdown(self) -> None:
            raise RuntimeError("no shutdown")

    monkeypatch.setattr(values, "_warned", set())
    noting = Noting()
    add(Failing())
    add(noting)

    assert Client().get("/query/").status_code == 200

    assert [span.name for span in noting.ended] == ["SELECT auth_user", "GET /query/"]
    assert len(spans()) == 2
    assert caplog.text.count("the span processor Failing failed") == 1


def test_flush_and_shutdown_reach_the_processors_and_our_own_export(wire: Wire) -> None:
    noting = Noting()
    wire.provider.add_span_processor(noting)
    wire.tracer.start_span("one").end()

    assert wire.provider.force_flush()
    assert noting.flushed == 1
    assert [span.name for span in wire.receiver.spans] == ["one"]

    wire.provider.shutdown()
    wire.provider.shutdown()
    wire.tracer.start_span("late").end()

    assert noting.shut_down == 1
    assert wire.dropped == {"shutdown": 1}


def test_an_attribute_of_a_processor_does_not_come_twice(wire: Wire) -> None:
    class Renaming(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            span.set_attribute("db.namespace", "mine")

    wire.provider.add_span_processor(Renaming())
    root = wire.tracer.start("root", SpanKind.SERVER, None)
    shared = Fixed({"db.namespace": "ours", "db.system.name": "postgresql"})
    assert wire.tracer.whole("SELECT", SpanKind.CLIENT, root, shared, 1, 2) is None

    found = attributes(wire.spans()["SELECT"])
    assert found == {"db.namespace": "mine", "db.system.name": "postgresql"}


def test_unsampled_spans_are_nobodys(receiver: Any) -> None:
    wire = Wire(receiver, sampled=False)
    noting = Noting()
    wire.provider.add_span_processor(noting)

    with wire.tracer.start_as_current_span("outer"):
        wire.tracer.start_span("inner").end()

    assert noting.started == noting.ended == []


class Kept(Transport):
    """Sentry's edge: what would be sent to its server."""

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events += [
            item.payload.json for item in envelope.items if item.type in {"event", "transaction"}
        ]


def test_sentrys_span_processor_makes_its_transaction_of_our_spans(add: Add) -> None:
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        instrumenter="otel",
        traces_sample_rate=1.0,
        transport=Kept,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    kept = sentry_sdk.get_client().transport
    assert isinstance(kept, Kept)
    try:
        add(SentrySpanProcessor())
        with (
            telemetry.traced("settle"),
            telemetry.get_tracer().start_as_current_span("inner"),
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT count(*) FROM auth_user")
        sentry_sdk.flush()
    finally:
        sentry_sdk.init()

    (transaction,) = kept.events
    assert transaction["transaction"] == "settle"
    spans = {span["description"]: span for span in transaction["spans"]}
    statement = spans["SELECT auth_user"]
    assert statement["parent_span_id"] == spans["inner"]["span_id"]
    assert statement["data"]["db.query.text"] == "SELECT count(*) FROM auth_user"


SCRIPT = """
import django, os
django.setup()
import telemetry
from opentelemetry import trace
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
trace.get_tracer_provider().add_span_processor(
    BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda span: f"exported {span.name}\\n"))
)
with telemetry.traced("a short command"):
    pass
"""


def test_a_batch_processor_is_flushed_when_the_process_ends() -> None:
    assert BatchSpanProcessor is not None
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "OTEL_TRACES_EXPORTER": "console",
            "PROMETHEUS_PORT": "0",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "exported a short command" in done.stdout
    assert '"name":"a short command"' in done.stderr.replace(": ", ":")
