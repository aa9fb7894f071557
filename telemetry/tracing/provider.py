"""The tracer provider behind OpenTelemetry's API: service, sampler, the queue to the exporter."""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)

from telemetry import settings
from telemetry.tracing import exporters
from telemetry.tracing.correlate import CorrelationProcessor
from telemetry.tracing.processor import QueueProcessor

#: Where every span of this process goes when it ends.
processor = QueueProcessor()


def install() -> None:
    """Make ours the tracer provider of OpenTelemetry's API, unless somebody set one before.

    Starts no thread and opens no socket, so it may run before a fork.
    """
    exporters.check()
    present = trace.get_tracer_provider()
    if isinstance(present, TracerProvider):
        # opentelemetry-instrument or the application chose one: our spans go there.
        present.add_span_processor(CorrelationProcessor())
        return
    provider = TracerProvider(
        sampler=sampler(),
        resource=Resource.create({"service.name": settings.service_name()}),
        # The runtime ends it, within a deadline.
        shutdown_on_exit=False,
    )
    provider.add_span_processor(CorrelationProcessor())
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    os.register_at_fork(after_in_child=processor.reset_after_fork)


def sampler() -> Sampler:
    """The sampler that ``OTEL_TRACES_SAMPLER`` names; without an exporter nothing is sampled."""
    if settings.traces_exporter() == "none":
        return ALWAYS_OFF
    name = settings.OTEL_TRACES_SAMPLER.read()
    kinds: dict[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(settings.OTEL_TRACES_SAMPLER_ARG.read()),
    }
    root = kinds[name.removeprefix("parentbased_")]
    return ParentBased(root) if name.startswith("parentbased_") else root
