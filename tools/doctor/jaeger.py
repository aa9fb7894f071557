"""Jaeger: does it answer, and does the trace of our own request arrive."""

from __future__ import annotations

from tools.doctor import ask
from tools.doctor.check import Failed, Skipped, System, until

#: Seconds for a span to leave the service's queue (5 s as shipped) and reach the store.
_EXPORTED = 20.0


def answers(system: System) -> str:
    services = ask.json(f"{system.jaeger}/api/services")["data"] or []
    return f"has traces of {', '.join(sorted(services)) or 'nobody yet'} at {system.jaeger}"


def trace(system: System) -> str:
    if not system.sampled:
        raise Skipped("no request was sampled: OTEL_TRACES_SAMPLER and its ARG say how many are")
    url = f"{system.jaeger}/api/traces/{system.trace_id}"

    def spans() -> int:
        answer = ask.get(url)
        if answer.status_code == 404:
            return 0
        if answer.status_code != 200:
            raise Failed(f"{url} answers {answer.status_code}")
        return sum(len(found["spans"]) for found in answer.json()["data"] or [])

    if not (count := until(spans, _EXPORTED)):
        raise Failed(f"trace {system.trace_id} did not arrive within {_EXPORTED:g} s")
    return f"{url} has {count} {'span' if count == 1 else 'spans'}"
