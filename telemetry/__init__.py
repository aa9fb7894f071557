"""Metrics, traces and logs of a Django service that agree with each other.

This is the whole public face; everything below it may change.
"""

from telemetry.binding import bind
from telemetry.clients import client_ip
from telemetry.correlation import get_correlation_id
from telemetry.logs import get_logger
from telemetry.metrics.instruments import counter, gauge, histogram
from telemetry.tracing.tracer import get_tracer
from telemetry.work import traced

__all__ = [
    "bind",
    "client_ip",
    "counter",
    "gauge",
    "get_correlation_id",
    "get_logger",
    "get_tracer",
    "histogram",
    "traced",
]
