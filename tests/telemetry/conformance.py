"""Prints, as JSON, the spans of a few requests: ``python -m tests.telemetry.conformance``, or of
every case of ``conformance_cases``: ``python -m tests.telemetry.conformance cases``.

Which instrumentation makes them is the settings module's choice (``tests.telemetry.site``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import django
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.telemetry.conformance_cases import REQUESTS as REQUEST_CASES
from tests.telemetry.conformance_cases import STATEMENTS, RequestCase

REQUESTS = {
    "success": "/hello/anna/?page=2",
    "404 of the view": "/missing/",
    "404 of no route": "/nowhere/",
    "exception": "/fail/",
    "several queries": "/many-queries/?n=2",
    "server-side cursor": "/server-cursor/",
    "stream": "/stream/",
    "async view": "/async/7/",
}


def main() -> None:
    exporter = InMemorySpanExporter()
    reference = os.environ["DJANGO_SETTINGS_MODULE"].endswith(".reference")
    if reference:
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        DjangoInstrumentor().instrument()
        PsycopgInstrumentor().instrument()
    from django.conf import settings

    if not reference:
        # As theirs: a caller's trace is continued.
        settings.TELEMETRY = {**settings.TELEMETRY, "TRUST_INCOMING_TRACE": True}
    django.setup()
    if not reference:
        from telemetry.tracing.provider import processor

        processor.use(exporter)

    def spans() -> list[ReadableSpan]:
        if not reference:
            processor.force_flush()
        found = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        exporter.clear()
        return found

    from django.db import connection
    from django.test import AsyncClient, Client

    connection.ensure_connection()
    if sys.argv[1:] == ["cases"]:
        sys.stdout.write("\n" + json.dumps(run_cases(spans)))
        return
    client = Client(raise_request_exception=False, headers={"User-Agent": "test"})
    client.get("/hello/")
    spans()
    told: dict[str, Any] = {}
    for name, path in REQUESTS.items():
        if name == "async view":
            asyncio.run(AsyncClient(headers={"User-Agent": "test"}).get(path))
        else:
            response = client.get(path)
            b"".join(response)
            response.close()
        told[name] = [described(span, names) for names in [spans()] for span in names]
    sys.stdout.write("\n" + json.dumps(told))


def run_cases(spans: Callable[[], list[ReadableSpan]]) -> dict[str, Any]:
    """The spans of each case by its name."""
    from django.conf import settings
    from django.db import DatabaseError, transaction

    settings.ROOT_URLCONF = "tests.telemetry.conformance_urls"
    tracer = trace.get_tracer("conformance")
    told: dict[str, Any] = {}
    run_request(REQUEST_CASES[0])
    for case in REQUEST_CASES:
        spans()
        # What comes out of a body that breaks, or of a host that is none, is the span's affair.
        with contextlib.suppress(Exception):
            run_request(case)
        found = spans()
        told[case.name] = [described(span, found) for span in found]
    for statement in STATEMENTS:
        with transaction.atomic():
            if statement.before:
                run_statement("execute", statement.before, None)
            with (
                tracer.start_as_current_span("case", record_exception=False),
                contextlib.suppress(DatabaseError),
            ):
                run_statement(statement.way, statement.statement, statement.parameters)
            transaction.set_rollback(True)
        every = [described(span, found) for found in [spans()] for span in found]
        told[f"statement: {statement.name}"] = [span for span in every if span["parent"] == "case"]
    return told


def run_request(case: RequestCase) -> None:
    from django.test import AsyncClient, Client

    headers = {"User-Agent": "test", **case.headers}
    given = {name: value for name, value in headers.items() if value is not None}
    if case.asgi:
        client = AsyncClient(raise_request_exception=False, headers=given)
        asyncio.run(client.generic(case.method, case.path, secure=case.secure))
        return
    response = Client(raise_request_exception=False, headers=given).generic(
        case.method, case.path, secure=case.secure, SERVER_PROTOCOL=case.protocol
    )
    try:
        b"".join(response)
    finally:
        response.close()


def run_statement(way: str, statement: str, parameters: Any) -> None:
    """``way``: a method of the cursor, ``iterator`` or ``orm``. A statement of psycopg's own types
    begins with ``sql:`` or, for a table's name, with ``composed:``."""
    from django.contrib.auth.models import Group
    from django.db import connection
    from psycopg import sql

    groups = Group.objects
    if way == "iterator":
        list(groups.iterator(chunk_size=100))
        return
    if way == "orm":
        {
            "count": groups.count,
            "create": lambda: groups.create(name="made"),
            "update": lambda: groups.filter(name="none").update(name="other"),
            "delete": lambda: groups.filter(name="none").delete(),
        }[statement]()
        return
    given: Any = statement
    if statement.startswith("sql:"):
        given = sql.SQL(statement.removeprefix("sql:"))  # type: ignore[arg-type]
    elif statement.startswith("composed:"):
        table = sql.Identifier(statement.removeprefix("composed:"))
        given = sql.SQL("SELECT id FROM {}").format(table)
    with connection.cursor() as cursor:
        if way == "execute":
            cursor.execute(given, parameters)
        else:
            getattr(cursor, way)(*[given] if parameters is None else [given, parameters])


def described(span: ReadableSpan, spans: list[ReadableSpan]) -> dict[str, Any]:
    names = {other.context.span_id: other.name for other in spans}
    return {
        "name": span.name,
        "kind": span.kind.name,
        "status": span.status.status_code.name,
        "parent": names.get(span.parent.span_id, "unknown") if span.parent else None,
        "attributes": dict(span.attributes or {}),
        "events": [event.name for event in span.events],
    }


if __name__ == "__main__":
    main()
