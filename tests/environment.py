"""Loaded before anything else (`-p tests.environment`): the settings need a database's address.

``DATABASE_URL`` names a server to use; without it a throw-away PostgreSQL is started for this
test session and removed after it.
"""

from __future__ import annotations

import atexit
import os

import pytest

from testing.postgres import Postgres, discard, temporary

#: The server of this session, if it is ours.
_started: list[Postgres] = []


def pytest_load_initial_conftests() -> None:
    if "DATABASE_URL" not in os.environ:
        _started.append(temporary())
        # Settings that cannot be loaded end pytest without a word to its plugins.
        atexit.register(pytest_unconfigure)
        os.environ["DATABASE_URL"] = _started[0].url()
    os.environ.setdefault("DJANGO_SECRET_KEY", "tests-only-" + "k" * 50)
    os.environ.setdefault("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1,testserver")
    # Tests speak http to servers of their own.
    os.environ.setdefault("DJANGO_HTTPS", "0")
    # Sampled, but exported into memory only: see tests/conftest.py.
    os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp")
    os.environ.setdefault("PROMETHEUS_PORT", "0")


# Before pytest-django's own, which reads the settings.
pytest_load_initial_conftests = pytest.hookimpl(tryfirst=True)(pytest_load_initial_conftests)


def pytest_unconfigure() -> None:
    while _started:
        discard(_started.pop())
