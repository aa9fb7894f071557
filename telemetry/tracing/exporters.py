"""Which exporter sends the spans, made from the environment and the settings."""

from __future__ import annotations

import sys

from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from telemetry import settings
from telemetry.environment import WrongEnvironmentError


def check() -> None:
    """Raises WrongEnvironmentError for a choice that cannot be made here."""
    if settings.traces_exporter() == "otlp" and settings.OTEL_EXPORTER_OTLP_PROTOCOL.read() == (
        "grpc"
    ):
        try:
            import opentelemetry.exporter.otlp.proto.grpc.trace_exporter  # noqa: F401
        except ImportError:
            raise WrongEnvironmentError(
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "is grpc, which needs the package opentelemetry-exporter-otlp-proto-grpc",
            ) from None


def make() -> SpanExporter | None:
    """The exporter in force, None for no export. Called once in each process that exports."""
    chosen = settings.traces_exporter()
    if chosen == "none":
        return None
    if chosen == "console":
        return ConsoleSpanExporter(out=sys.stderr)
    if chosen == "jaeger":
        from telemetry.tracing.jaeger_agent import exporter

        return exporter()
    if settings.OTEL_EXPORTER_OTLP_PROTOCOL.read() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
            OTLPSpanExporter as GrpcSpanExporter,
        )

        grpc: SpanExporter = GrpcSpanExporter()
        return grpc
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
