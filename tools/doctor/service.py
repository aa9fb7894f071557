"""The API: does it answer, is it ready, and one request of our own to follow."""

from __future__ import annotations

import re
import secrets

from tools.doctor import ask
from tools.doctor.check import Failed, Skipped, System, until
from tools.local.logs import matching

#: Needs no login to be counted, traced and logged: without one it is refused, which is an answer.
_PATH = "/api/v1/expenses/"
_TRACE = re.compile(r'traceparent;desc="00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})"')
#: Requests to send until one is sampled.
_TRIES = 20


def ready(system: System) -> str:
    answer = ask.get(f"{system.api}/health/ready")
    if answer.status_code == 503:
        raise Failed(f"the API runs but is not ready: {answer.text[:200]}")
    if answer.status_code != 200:
        raise Failed(f"{system.api}/health/ready answers {answer.status_code}")
    return f"is ready at {system.api}"


def request(system: System) -> str:
    """Send a request and keep its IDs for the checks that look for it."""
    for _ in range(_TRIES):
        system.correlation_id = f"doctor-{secrets.token_hex(8)}"
        answer = ask.get(
            f"{system.api}{_PATH}", headers={"X-Correlation-ID": system.correlation_id}
        )
        if answer.status_code >= 500:
            raise Failed(f"{_PATH} answers {answer.status_code}: {answer.text[:200]}")
        if answer.headers.get("X-Correlation-ID") != system.correlation_id:
            raise Failed("the answer does not carry the X-Correlation-ID that was sent")
        found = _TRACE.search(answer.headers.get("Server-Timing", ""))
        if not found:
            raise Failed("the answer has no traceparent in Server-Timing")
        system.trace_id, flags = found.groups()
        system.sampled = int(flags, 16) % 2 == 1
        if system.sampled:
            return f"{system.correlation_id} is trace {system.trace_id}"
    return f"{system.correlation_id}; none of {_TRIES} requests was sampled (OTEL_TRACES_SAMPLER)"


def line(system: System) -> str:
    """The request's log line, where the log is at hand."""
    layout = system.layout
    if layout is None:
        raise Skipped(f"look in your log store for correlation_id {system.correlation_id}")
    found = until(lambda: list(matching(layout.logs, system.correlation_id)), 5)
    if not found:
        raise Failed(f"no line of {system.correlation_id} in {layout.logs}")
    if not any(parsed.get("trace_id") == system.trace_id for parsed, _ in found):
        raise Failed(f"the line of {system.correlation_id} has not its trace_id")
    return f"make logs ID={system.correlation_id}"
