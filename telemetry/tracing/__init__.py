"""Traces: the provider behind OpenTelemetry's API, its queue and its exporters."""

from __future__ import annotations

import sys

from telemetry.environment import Variable, entry_point, integer

# OpenTelemetry's SDK reads its limits when it is imported, and raises then. Asked here, before
# that, a wrong one ends the start with one line.
for _name in (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
):
    Variable(_name, integer(0, sys.maxsize), 0, "").read()
# Its API does the same when somebody asks for the provider.
Variable("OTEL_PYTHON_TRACER_PROVIDER", entry_point("opentelemetry_tracer_provider"), "", "").read()
