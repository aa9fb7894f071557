"""The environment of the service in the local run. What the user set himself wins."""

from __future__ import annotations

import os

from tools.local.layout import Layout


def of_service(layout: Layout, database_url: str, secrets: dict[str, str]) -> dict[str, str]:
    """Variables for gunicorn and for ``manage.py``."""
    defaults = {
        "DATABASE_URL": database_url,
        "DEMO": "1",
        "LOG_FORMAT": "json",
        "PROMETHEUS_PORT": str(layout.port("PROMETHEUS_PORT")),
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": layout.url("JAEGER_OTLP_HTTP_PORT"),
        "JAEGER_AGENT_PORT": str(layout.port("JAEGER_AGENT_PORT")),
        "DEMO_RATES_URL": layout.url("RATES_PORT"),
        "JAEGER_UI_URL": layout.url("JAEGER_QUERY_PORT"),
        **secrets,
    }
    chosen = {name: os.environ[name] for name in defaults if os.environ.get(name)}
    return defaults | chosen


def of_rates(layout: Layout, folder: str) -> dict[str, str]:
    """Variables for the demo's second service. ``folder`` is where its metrics' files go."""
    return {
        "WEB_CONCURRENCY": "1",
        "LOG_FORMAT": "json",
        "PROMETHEUS_PORT": "0",
        "PROMETHEUS_MULTIPROC_DIR": folder,
        "OTEL_SERVICE_NAME": "exchange-rates",
        "OTEL_EXPORTER_OTLP_ENDPOINT": layout.url("JAEGER_OTLP_HTTP_PORT"),
    }


def of_commands(layout: Layout, database_url: str, secrets: dict[str, str]) -> dict[str, str]:
    """The same for ``manage.py``: a short command exports no traces and opens no port."""
    quiet = {"OTEL_TRACES_EXPORTER": "none", "PROMETHEUS_PORT": "0", "LOG_FORMAT": "console"}
    return of_service(layout, database_url, secrets) | quiet
