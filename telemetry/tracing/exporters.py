"""Which exporter sends the spans, made from the environment and the settings."""

from __future__ import annotations

import functools
import ssl
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.util.re import parse_env_headers

from telemetry import settings
from telemetry.environment import WrongEnvironmentError
from telemetry.tracing.convert import ConvertingExporter
from telemetry.tracing.otlp_exporter import OtlpExporter


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


class Exporter(Protocol):
    """What the queue calls, from one thread at a time."""

    def export(self, spans: Sequence[Any]) -> int:
        """Send ended spans; gives how many of them were refused. Raises when all of them are."""

    def stop_retrying(self) -> None:
        """The process ends soon."""


@functools.cache
def resource() -> Resource:
    """Which service the spans are of: ``OTEL_SERVICE_NAME``, ``OTEL_RESOURCE_ATTRIBUTES``."""
    return Resource.create({"service.name": settings.service_name()})


def make() -> Exporter | None:
    """The exporter in force, None for no export. Called once in each process that exports."""
    chosen = settings.traces_exporter()
    if chosen == "none":
        return None
    if (
        chosen == "otlp"
        and settings.get().SPANS != "sdk"
        and settings.OTEL_EXPORTER_OTLP_PROTOCOL.read() != "grpc"
    ):
        return _otlp()
    return ConvertingExporter(_of_the_sdk(chosen), resource())


def _otlp() -> OtlpExporter:
    endpoint = settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.read()
    if not endpoint:
        base = settings.OTEL_EXPORTER_OTLP_ENDPOINT.read() or "http://localhost:4318"
        endpoint = f"{base}/v1/traces"
    headers = (
        settings.OTEL_EXPORTER_OTLP_TRACES_HEADERS.read()
        or settings.OTEL_EXPORTER_OTLP_HEADERS.read()
    )
    return OtlpExporter(
        endpoint,
        resource().attributes,
        headers=parse_env_headers(headers, liberal=True),
        timeout=settings.OTEL_EXPORTER_OTLP_TIMEOUT.read(),
        compress=settings.OTEL_EXPORTER_OTLP_COMPRESSION.read() == "gzip",
        context=_tls() if endpoint.startswith("https:") else None,
    )


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=settings.OTEL_EXPORTER_OTLP_CERTIFICATE.read() or None
    )
    if certificate := settings.OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.read():
        context.load_cert_chain(certificate, settings.OTEL_EXPORTER_OTLP_CLIENT_KEY.read() or None)
    return context


def _of_the_sdk(chosen: str) -> SpanExporter:
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
