"""OpenTelemetry's own instrumentations, as their documentation sets them up, before the service."""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.reference_settings")

_provider = TracerProvider(resource=Resource.create({"service.name": "expense-tracker-api"}))
_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(_provider)
DjangoInstrumentor().instrument()
PsycopgInstrumentor().instrument()

from config.wsgi import application  # noqa: E402

__all__ = ["application"]
