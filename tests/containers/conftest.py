"""An engine, the images, and systems of the compose files for the tests in containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from monitoring.render import HERE, render
from testing.servers import poll
from tools.containers import engine, images
from tools.containers.compose import ComposeSystem, build_image
from tools.local.layout import ROOT

#: Users of the demo, whose password the tests know.
DEMO = {
    "DEMO": "1",
    "DEMO_PASSWORD": "containers-only-1",
    "DEMO_ADMIN_PASSWORD": "containers-only-1",
}

EXPENSE = {
    "title": "Lunch",
    "merchant": "Cafe",
    "amount": "12.50",
    "currency": "EUR",
    "spent_on": "2026-01-15",
}


def login(system: ComposeSystem) -> dict[str, str]:
    """Return the header of a logged-in demo user."""
    answer = requests.post(
        system.url("API_PORT", "/api/v1/auth/login/"),
        json={"username": "demo1", "password": DEMO["DEMO_PASSWORD"]},
        timeout=20,
    )
    return {"Authorization": f"Token {answer.json()['token']}"}


#: Rules, scrapes and notifications are so many times as fast as shipped, where a test says so.
SPEED = 30


def write_fast_rules(folder: Path, api: str, secrets: Path | None = None) -> Path:
    """Write an override file by which Prometheus and Alertmanager run ``SPEED`` times as fast.

    ``api`` is the address of the target, ``secrets`` where Prometheus' container finds the secrets
    of the production overlay.
    """
    # Containers read it as users of their own.
    folder.chmod(0o755)
    render(
        folder,
        api=api,
        alertmanager="alertmanager:9093",
        jaeger_metrics="jaeger:8888",
        span_metrics="jaeger:8889",
        prometheus="localhost:9090",
        notifications="notifications:9099",
        speed=SPEED,
        secrets=secrets,
    )
    shipped = yaml.safe_load((HERE / "docker-compose.yml").read_text())
    command = shipped["services"]["prometheus"]["command"]
    rendered = folder / "prometheus"
    services = {
        "prometheus": {
            "command": [*command, f"--rules.alert.resend-delay={60_000 // SPEED}ms"],
            "volumes": [
                f"{rendered}/prometheus.yml:/etc/prometheus/prometheus.yml:ro",
                f"{rendered}/rules:/etc/prometheus/rules:ro",
                f"{rendered}/targets:/etc/prometheus/targets:ro",
            ],
        },
        "alertmanager": {"volumes": [f"{folder}/alertmanager:/etc/alertmanager:ro"]},
    }
    file = folder / "fast-rules.yml"
    file.write_text(yaml.safe_dump({"services": services}))
    return file


def notified(system: ComposeSystem, alert: str, word: str) -> bool:
    """Whether the receiver was sent this alert with ``word``, firing or resolved."""
    return any(line.split()[:2] == [word, f"{alert}:"] for line in system.logs("notifications"))


@contextmanager
def jaeger_stopped(system: ComposeSystem) -> Iterator[None]:
    name = system.container("jaeger")
    images.docker("stop", name)
    try:
        yield
    finally:
        images.docker("start", name)


def alerts_by_notification(system: ComposeSystem, fast_rules: Path) -> None:
    """Stop Jaeger, and wait until somebody was notified, and again when it is back."""
    with system.changed_by(fast_rules):
        with jaeger_stopped(system):
            poll(lambda: notified(system, "JaegerDown", "firing"), 90, "nobody was notified")
        poll(lambda: notified(system, "JaegerDown", "resolved"), 90, "nobody was told of the end")


@pytest.fixture(scope="session")
def container_engine() -> Iterator[str]:
    """A container engine with every pinned image and the service's own."""
    with ExitStack() as stack:
        try:
            host = stack.enter_context(engine.running())
            for _ in images.build_all():
                pass
        except (engine.NoEngineError, images.ImageError) as error:
            pytest.skip(str(error).replace("\n", " "))
        build_image()
        yield host


@pytest.fixture(scope="session")
def whole_system(container_engine: str) -> Iterator[ComposeSystem]:
    """The root compose file's system, with demo users."""
    system = ComposeSystem([ROOT / "docker-compose.yml"], DEMO)
    try:
        system.up()
        system.execute(
            "api", "python", "manage.py", "seed_demo", "--expenses", "50", "--users", "2"
        )
        yield system
    finally:
        system.down()
