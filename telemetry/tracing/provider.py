"""The tracer provider behind OpenTelemetry's API: service, sampler, the queue to the exporter."""

from __future__ import annotations

import atexit
import logging
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)

from telemetry import settings
from telemetry.tracing import contrib, exporters
from telemetry.tracing.correlate import CorrelationProcessor
from telemetry.tracing.light import Decide, LightProvider
from telemetry.tracing.processor import QueueProcessor

logger = logging.getLogger(__name__)

#: Where every span of this process goes when it ends.
processor = QueueProcessor()


def install() -> None:
    """Make ours the tracer provider of OpenTelemetry's API, unless somebody set one before.

    Starts no thread and opens no socket, so it may run before a fork.
    """
    exporters.check()
    if (sampler_name := settings.OTEL_TRACES_SAMPLER.read()) != settings.traces_sampler():
        logger.warning(
            "OTEL_TRACES_SAMPLER: there is no sampler %s here, %s is used",
            sampler_name,
            settings.traces_sampler(),
        )
    # It asks its detectors in threads, which a process that ends can no longer begin; a short
    # command exports at its end for the first time.
    exporters.resource()
    processor.reset()
    # Before the first span: from Python 3.12 on nothing is registered, and no thread begins, while
    # the functions of atexit run. What runs there and ends a span was registered later than this.
    atexit.register(processor.shutdown)
    present = trace.get_tracer_provider()
    if isinstance(present, TracerProvider) and not isinstance(present, LightProvider):
        # opentelemetry-instrument or the application chose one: our spans go there.
        present.add_span_processor(CorrelationProcessor())
        return
    if settings.span_source() == "sdk":
        trace.set_tracer_provider(_sdk_provider())
    else:
        provider = LightProvider(
            decision(),
            processor.add,
            processor.add_all,
            processor.dropped,
            exporters.resource(),
            processor,
        )
        processor.at_shutdown = provider.shut_processors_down
        trace.set_tracer_provider(provider)
    os.register_at_fork(after_in_child=processor.reset_after_fork)
    if settings.span_source() == "contrib":
        contrib.activate()


def _sdk_provider() -> TracerProvider:
    provider = TracerProvider(
        sampler=sampler(),
        resource=exporters.resource(),
        # The runtime ends it, within a deadline.
        shutdown_on_exit=False,
    )
    provider.add_span_processor(CorrelationProcessor())
    provider.add_span_processor(processor)
    return provider


def sampler() -> Sampler:
    """The sampler that ``OTEL_TRACES_SAMPLER`` names; without an exporter nothing is sampled."""
    if settings.traces_exporter() == "none":
        return ALWAYS_OFF
    name = settings.traces_sampler()
    kinds: dict[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(settings.OTEL_TRACES_SAMPLER_ARG.read()),
    }
    root = kinds[name.removeprefix("parentbased_")]
    return ParentBased(root) if name.startswith("parentbased_") else root


def decision() -> Decide:
    """The same choice as :func:`sampler`, for light spans.

    The ratio looks at the lower 8 bytes of the trace id, as the SDK's ``TraceIdRatioBased`` does,
    so that services that ask for the same ratio keep the same traces.
    """
    if settings.traces_exporter() == "none":
        return lambda _trace_id, _parent: False
    name = settings.traces_sampler()
    ratios = {"always_on": 1.0, "always_off": 0.0}
    ratio = ratios.get(name.removeprefix("parentbased_"), settings.OTEL_TRACES_SAMPLER_ARG.read())
    bound = round(ratio * (1 << 64))
    if name == "parentbased_always_on":
        return lambda _trace_id, parent: parent is not False

    def by_ratio(trace_id: bytes, _parent: bool | None) -> bool:
        return int.from_bytes(trace_id[8:], "big") < bound

    def by_parent(trace_id: bytes, parent: bool | None) -> bool:
        return by_ratio(trace_id, None) if parent is None else parent

    return by_parent if name.startswith("parentbased_") else by_ratio
