"""The whole system, started once for all end-to-end tests by the code of ``make up``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tools.local.layout import PORTS, Layout
from tools.local.system import System

#: Rules and intervals thirty times as fast as shipped.
SPEED = 30


class Whole:
    """The running system with short ways to ask each of its parts."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.layout = system.layout
        self.session = requests.Session()

    def api(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(
            method, self.layout.url("API_PORT", path), timeout=20, **options
        )

    def login(self, name: str = "demo1") -> dict[str, str]:
        """The header of a logged-in client."""
        answer = self.api(
            "POST",
            "/api/v1/auth/login/",
            json={"username": name, "password": self.system.secrets["DEMO_PASSWORD"]},
        )
        return {"Authorization": f"Token {answer.json()['token']}"}

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query of Prometheus."""
        url = self.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")
        answer = requests.get(url, {"query": expression}, timeout=10).json()
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def alerts(self) -> dict[str, str]:
        """Prometheus' alerts by name: pending or firing."""
        url = self.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/alerts")
        answer = requests.get(url, timeout=10).json()
        return {found["labels"]["alertname"]: found["state"] for found in answer["data"]["alerts"]}

    def notified(self) -> dict[str, dict[str, Any]]:
        """Alertmanager's active alerts by name."""
        url = self.layout.url("ALERTMANAGER_PORT", "/api/v2/alerts?active=true")
        return {
            found["labels"]["alertname"]: found for found in requests.get(url, timeout=10).json()
        }

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """Jaeger's spans of a trace; empty until it has them."""
        answer = requests.get(
            self.layout.url("JAEGER_QUERY_PORT", f"/api/traces/{trace_id}"), timeout=10
        ).json()
        found = answer.get("data") or [{"spans": []}]
        spans: list[dict[str, Any]] = found[0]["spans"]
        return spans


@contextmanager
def running(layout: Layout) -> Iterator[Whole]:
    """The whole system with this state folder and these ports, while the block runs."""
    missing = [name for name in ("prometheus", "alertmanager", "jaeger") if find(name) is None]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)} (make tools)")
    said: list[str] = []
    system = System(layout, said.append, speed=SPEED)
    system.local_links = True
    # The tests' own settings must not reach the service that a person would start.
    environment = dict(os.environ)
    for name in ("DATABASE_URL", "DJANGO_SECRET_KEY", "PROMETHEUS_PORT", "OTEL_TRACES_EXPORTER"):
        os.environ.pop(name, None)
    try:
        system.start_service()
        system.start_stack()
        stack = system.stack
        assert stack is not None
        poll(
            lambda: stack.tick() or stack.ready == set(stack.parts),
            60,
            f"the stack did not answer: {said} {stack.missing}",
        )
        yield Whole(system)
    finally:
        os.environ.update(environment)
        system.stop()


@pytest.fixture(scope="session")
def whole() -> Iterator[Whole]:
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-e2e-"))
    try:
        with running(Layout(folder, {name: free_port() for name in PORTS})) as started:
            yield started
    finally:
        shutil.rmtree(folder, ignore_errors=True)
