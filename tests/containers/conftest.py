"""An engine, the images, and systems of the compose files for the tests in containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests

from scripts.containers import engine, images
from scripts.containers.compose import ComposeSystem, build_image
from scripts.local.layout import ROOT

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
