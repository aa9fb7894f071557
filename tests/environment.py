"""Loaded before anything else (`-p tests.environment`): the settings need a database's address.

``DATABASE_URL`` names a server to use; without it a throw-away PostgreSQL is started for this
test session and removed after it.
"""

from __future__ import annotations

import os

import pytest

from scripts.postgres import Postgres, discard, temporary

_server: Postgres | None = None


def pytest_load_initial_conftests() -> None:
    global _server
    if "DATABASE_URL" not in os.environ:
        _server = temporary()
        os.environ["DATABASE_URL"] = _server.url()
    os.environ.setdefault("DJANGO_SECRET_KEY", "tests-only-" + "k" * 50)
    os.environ.setdefault("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,testserver")
    # Sampled, but exported into memory only: see tests/conftest.py.
    os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp")
    os.environ.setdefault("PROMETHEUS_PORT", "0")


# Before pytest-django's own, which reads the settings.
pytest_load_initial_conftests = pytest.hookimpl(tryfirst=True)(pytest_load_initial_conftests)


def pytest_unconfigure() -> None:
    global _server
    if _server is not None:
        discard(_server)
        _server = None
