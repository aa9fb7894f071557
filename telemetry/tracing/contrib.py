"""OpenTelemetry's own instrumentations of Django and databases: where they are active, the spans
are theirs, and we add what we know.

They are active by ``opentelemetry-instrument``, by an operator's injection, by the application's
own call, or by ``TELEMETRY_SPANS=contrib`` (or the setting ``SPANS``), which makes that call.
"""

from __future__ import annotations

import functools
import re
import sys
from importlib.metadata import entry_points
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.metrics import NoOpMeterProvider

from telemetry.environment import Variable


def _propagators(value: str) -> str:
    for name in value.split(","):
        if name.strip().lower() == "none":
            break
        if not entry_points(group="opentelemetry_propagator", name=name.strip()):
            raise ValueError("must be names of propagators that are installed, or none")
    return value


def _patterns(value: str) -> str:
    try:
        # Joined, as they do it: a group may have commas.
        re.compile("|".join(pattern.strip() for pattern in value.split(",")))
    except re.error as error:
        raise ValueError(f"must be regular expressions, separated by commas ({error})") from None
    return value


#: Variables that the packages read when they are imported, where a wrong one is a traceback.
_READ_WHEN_IMPORTED = {
    "OTEL_PROPAGATORS": _propagators,
    "OTEL_PYTHON_EXCLUDED_URLS": _patterns,
    "OTEL_PYTHON_DJANGO_EXCLUDED_URLS": _patterns,
}


_activated = False


def takes_any_host() -> bool:
    """Whether their middleware may see a request with a Host that is refused later: where it was
    activated here, and thereby has no metrics."""
    return _activated


def activate() -> None:
    """Raises ImproperlyConfigured where the packages are not installed, and WrongEnvironmentError
    for a variable that they cannot read."""
    global _activated
    for name, parse in _READ_WHEN_IMPORTED.items():
        Variable(name, parse, "", "").read()
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
            # The metrics are ours; theirs have the Host header for a label, which anybody chooses.
            instrumentor.instrument(meter_provider=NoOpMeterProvider())
    _activated = True


#: Our middleware for scrapes and health checks, by its name in ``MIDDLEWARE``.
OWN_PATHS = "telemetry.middleware.own_paths_middleware"


def stand_in_front() -> None:
    """Put ``OWN_PATHS`` in front of their middleware, where that is in ``MIDDLEWARE``."""
    if _traces_django() and OWN_PATHS not in django_settings.MIDDLEWARE:
        django_settings.MIDDLEWARE = [OWN_PATHS, *django_settings.MIDDLEWARE]


@functools.cache
def django_is_theirs() -> bool:
    """Whether their middleware makes the server spans. Looked at once, when a request comes."""
    return _traces_django()


def _traces_django() -> bool:
    module = sys.modules.get("opentelemetry.instrumentation.django")
    return module is not None and bool(module.DjangoInstrumentor().is_instrumented_by_opentelemetry)


def excludes(request: Any) -> bool:
    """Whether ``OTEL_PYTHON_DJANGO_EXCLUDED_URLS`` says that a request has no spans."""
    excluded = _excluded_urls()
    return excluded is not None and bool(excluded.url_disabled(request.build_absolute_uri("?")))


@functools.cache
def _excluded_urls() -> Any:
    try:
        from opentelemetry.util.http import get_excluded_urls
    except ImportError:
        return None
    return get_excluded_urls("DJANGO")


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
