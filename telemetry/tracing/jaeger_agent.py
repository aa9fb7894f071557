"""Spans over UDP to a Jaeger agent (Thrift compact), as ``JAEGER_AGENT_HOST`` and ``_PORT`` say.

``opentelemetry-exporter-jaeger-thrift`` 1.21 is the last release. It imports seven names that
left ``opentelemetry.sdk.environment_variables`` in SDK 1.40; they are put back here, before the
import. Its constructor warns that OTLP is the better way, which DESIGN and our docs say as well.
"""

from __future__ import annotations

import warnings

from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.trace.export import SpanExporter

from telemetry.settings import JAEGER_AGENT_HOST, JAEGER_AGENT_PORT

_LOST_NAMES = (
    "AGENT_HOST",
    "AGENT_PORT",
    "AGENT_SPLIT_OVERSIZED_BATCHES",
    "ENDPOINT",
    "PASSWORD",
    "TIMEOUT",
    "USER",
)

#: A statement or URL longer than this could alone fill a datagram of 65,000 bytes.
_LONGEST_VALUE = 8000


def exporter() -> SpanExporter:
    """An exporter to the agent. Datagrams that are lost on the way cannot be counted."""
    for name in _LOST_NAMES:
        full = f"OTEL_EXPORTER_JAEGER_{name}"
        if not hasattr(environment_variables, full):
            setattr(environment_variables, full, full)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from opentelemetry.exporter.jaeger.thrift import JaegerExporter

        made: SpanExporter = JaegerExporter(
            agent_host_name=JAEGER_AGENT_HOST.read(),
            agent_port=JAEGER_AGENT_PORT.read(),
            udp_split_oversized_batches=True,
            max_tag_value_length=_LONGEST_VALUE,
            # Of a collector, which is not used; else it is read from the environment, unchecked.
            timeout=10,
        )
    return made
