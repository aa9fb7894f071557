"""OpenTelemetry's own instrumentations of Django and databases: where they are active, the spans
are theirs, and we add what we know.

They are active by ``opentelemetry-instrument``, by an operator's injection, by the application's
own call, or by ``TELEMETRY_SPANS=contrib`` (or the setting ``SPANS``), which makes that call.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

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


#: Every instrumentation of a database that Django knows is built on it.
_DBAPI = "opentelemetry.instrumentation.dbapi"


def traces_statements(connection: Any) -> bool:
    """Whether they make the spans of a connection's statements: psycopg, sqlite3, mysqlclient, …

    Asked of the driver's connection, not of their instrumentors: one of them may be active for a
    single connection, or only for those that were opened after it.
    """
    if _DBAPI not in sys.modules:
        return False
    driver = getattr(connection, "connection", None)
    # A proxy around the driver's connection; psycopg's instead gets cursors of their class.
    return _is_theirs(type(driver)) or _is_theirs(getattr(driver, "cursor_factory", None))


def _is_theirs(kind: Any) -> bool:
    return str(getattr(kind, "__module__", "")).startswith("opentelemetry.instrumentation.")
