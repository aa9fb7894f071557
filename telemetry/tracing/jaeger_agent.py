"""Spans over UDP to a Jaeger agent (Thrift compact), as ``JAEGER_AGENT_HOST`` and ``_PORT`` say.

``opentelemetry-exporter-jaeger-thrift`` 1.21 is the last release. It imports seven names that
left ``opentelemetry.sdk.environment_variables`` in SDK 1.40; they are put back here, before the
import. Its constructor warns that OTLP is the better way, which DESIGN and our docs say as well.
"""

from __future__ import annotations

import functools
import socket
import warnings
from typing import Any

from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.trace.export import SpanExporter

from telemetry.settings import JAEGER_AGENT_HOST, JAEGER_AGENT_PORT
from telemetry.tracing.otlp_exporter import DropCounter, not_counted

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


#: Bytes of a datagram, as the package has it: UDP takes 65,507 over IPv4.
_LARGEST_DATAGRAM = 65_000


def exporter(count_dropped: DropCounter = not_counted) -> SpanExporter:
    """An exporter to the agent. Datagrams that are lost on the way cannot be counted; a span that
    no datagram holds is left out, and ``count_dropped`` is told (``too_large``)."""
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
    agent = made._agent_client  # type: ignore[attr-defined]  # noqa: SLF001  no public name
    agent.emit = functools.partial(_emit, agent, count_dropped)
    return made


def _emit(agent: Any, count_dropped: DropCounter, batch: Any) -> None:
    """Send a batch, in parts where it is too large for a datagram.

    The package would leave out a part that is too large with a WARNING, however many spans it has,
    and knows no address of IPv6.
    """
    agent.client._seqid = 0  # noqa: SLF001  as the package does for each batch
    agent.buffer._buffer.truncate(0)  # noqa: SLF001
    agent.buffer._buffer.seek(0)  # noqa: SLF001
    agent.client.emitBatch(batch)
    datagram = agent.buffer.getvalue()
    if len(datagram) <= _LARGEST_DATAGRAM:
        host, port = agent.address
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        # A name may be both, as localhost: then IPv4, on which every agent listens.
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(datagram, address)
    elif len(batch.spans) == 1:
        count_dropped("too_large", 1)
    else:
        half = len(batch.spans) // 2
        for spans in (batch.spans[:half], batch.spans[half:]):
            _emit(agent, count_dropped, type(batch)(process=batch.process, spans=spans))
