"""OpenTelemetry's own instrumentations of Django and psycopg: where they are active, the spans are
theirs, and we add what we know.

They are active by ``opentelemetry-instrument``, by an operator's injection, by the application's
own call, or by ``TELEMETRY_SPANS=contrib`` (or the setting ``SPANS``), which makes that call.
"""

from __future__ import annotations

import functools
import sys

from django.core.exceptions import ImproperlyConfigured


def activate() -> None:
    """Raises ImproperlyConfigured where the packages are not installed."""
    try:
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    except ImportError as error:
        raise ImproperlyConfigured(
            "spans by contrib (TELEMETRY_SPANS, or TELEMETRY['SPANS']) need the packages "
            "opentelemetry-instrumentation-django and opentelemetry-instrumentation-psycopg: "
            f"{error}"
        ) from None
    for instrumentor in (DjangoInstrumentor(), PsycopgInstrumentor()):
        if not instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.instrument()


@functools.cache
def django_is_theirs() -> bool:
    """Whether their middleware makes the server spans. Looked at once, when a request comes."""
    module = sys.modules.get("opentelemetry.instrumentation.django")
    return module is not None and bool(module.DjangoInstrumentor().is_instrumented_by_opentelemetry)


@functools.cache
def database_is_theirs() -> bool:
    """Whether they make the spans of statements."""
    module = sys.modules.get("opentelemetry.instrumentation.psycopg")
    return module is not None and bool(
        module.PsycopgInstrumentor().is_instrumented_by_opentelemetry
    )
