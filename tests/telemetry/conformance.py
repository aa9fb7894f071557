"""Prints, as JSON, the spans of a few requests: ``python -m tests.telemetry.conformance``.

Which instrumentation makes them is the settings module's choice (``tests.telemetry.site``).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import django
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

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
