"""Which exporter sends the spans, made from the environment and the settings."""

from __future__ import annotations

import functools
import json
import logging
import ssl
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from telemetry import settings
from telemetry.environment import Variable, WrongEnvironmentError
from telemetry.tracing.convert import ConvertingExporter
from telemetry.tracing.light import unfolded
from telemetry.tracing.otlp_exporter import DropCounter, OtlpExporter, not_counted

logger = logging.getLogger(__name__)


def check() -> None:
    """Raises WrongEnvironmentError for a choice that cannot be made here."""
    if "otlp" not in settings.traces_exporter().split(","):
        return
    protocol = settings.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL
    if protocol.read() == "grpc":
        try:
            import opentelemetry.exporter.otlp.proto.grpc.trace_exporter  # noqa: F401
        except ImportError:
            raise WrongEnvironmentError(
                protocol.in_force().name,
                "is grpc, which needs the package opentelemetry-exporter-otlp-proto-grpc",
            ) from None
    elif _endpoint().lower().startswith("https:"):
        _tls()


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


def make(count_dropped: DropCounter = not_counted) -> Exporter | None:
    """The exporter in force, None for no export. Called once in each process that exports.

    ``count_dropped`` is told of spans that cannot be encoded.
    """
    chosen = settings.traces_exporter()
    if chosen == "none":
        return None
    made = [_one(name, count_dropped) for name in chosen.split(",")]
    return made[0] if len(made) == 1 else _Several(made)


def _one(name: str, count_dropped: DropCounter) -> Exporter:
    if name == "otlp" and settings.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL.read() != "grpc":
        return _otlp(count_dropped)
    return ConvertingExporter(_of_the_sdk(name, count_dropped), resource(), count_dropped)


class _Several:
    """Sends every span to each of several exporters."""

    def __init__(self, exporters: Sequence[Exporter]) -> None:
        self._exporters = exporters

    def export(self, spans: Sequence[Any]) -> int:
        """As one exporter does; the last failure counts, when all of them were asked."""
        # A span that is a tuple gets its id when it is encoded: here once, for all.
        same = [unfolded(span) if isinstance(span, tuple) else span for span in spans]
        refused = 0
        problem: Exception | None = None
        for exporter in self._exporters:
            try:
                refused = max(refused, exporter.export(same))
            except Exception as error:  # noqa: BLE001  the others get the spans all the same
                problem = error
        if problem is not None:
            raise problem
        return refused

    def stop_retrying(self) -> None:
        for exporter in self._exporters:
            exporter.stop_retrying()


def _endpoint() -> str:
    endpoint = settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.read()
    base = settings.OTEL_EXPORTER_OTLP_ENDPOINT.read() or "http://localhost:4318"
    return endpoint or f"{base}/v1/traces"


def _encode_of_the_sdk(spans: Sequence[ReadableSpan]) -> bytes:
    encoded: bytes = encode_spans(spans).SerializeToString()
    return encoded


def _otlp(count_dropped: DropCounter) -> OtlpExporter:
    endpoint = _endpoint()
    of_the_sdk = settings.span_source() == "sdk"
    return OtlpExporter(
        endpoint,
        resource().attributes,
        headers=settings.OTEL_EXPORTER_OTLP_TRACES_HEADERS.read(),
        timeout=settings.OTEL_EXPORTER_OTLP_TRACES_TIMEOUT.read(),
        compression=settings.OTEL_EXPORTER_OTLP_TRACES_COMPRESSION.read(),
        context=_tls() if endpoint.lower().startswith("https:") else None,
        encode=_encode_of_the_sdk if of_the_sdk else None,
        count_dropped=count_dropped,
        # The SDK's own exporter uses them.
        by_proxy=of_the_sdk,
    )


def _tls() -> ssl.SSLContext:
    """Raises WrongEnvironmentError for a file that holds no certificate, or another one's key."""
    authorities = settings.OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE
    certificate = settings.OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE
    key = settings.OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY
    try:
        context = ssl.create_default_context(cafile=authorities.read() or None)
    except ssl.SSLError as error:
        raise _unfit(authorities, error) from None
    if found := certificate.read():
        try:
            # Without a password OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(found, key.read() or None, password="")
        except ssl.SSLError as error:
            raise _unfit(certificate, error) from None
    return context


def _unfit(variable: Variable[str], error: ssl.SSLError) -> WrongEnvironmentError:
    return WrongEnvironmentError(
        variable.in_force().name, f"cannot be used for TLS ({error}): {variable.read()}"
    )


class _LogExporter(SpanExporter):
    """Console where the log is JSON: the SDK's writes forty lines, each of them a record."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            logger.info("span %s", span.name, extra={"span": json.loads(span.to_json(indent=None))})
        return SpanExportResult.SUCCESS


def _of_the_sdk(chosen: str, count_dropped: DropCounter) -> SpanExporter:
    if chosen == "console":
        as_records = settings.LOG_FORMAT.read() == "json"
        return _LogExporter() if as_records else ConsoleSpanExporter(out=sys.stderr)
    if chosen == "jaeger":
        from telemetry.tracing.jaeger_agent import exporter

        return exporter(count_dropped)
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
        OTLPSpanExporter as GrpcSpanExporter,
    )

    grpc: SpanExporter = GrpcSpanExporter()
    return grpc
