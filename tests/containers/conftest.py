"""An engine, the images, and systems of the compose files for the tests in containers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scripts.containers import engine, images
from scripts.containers.compose import ComposeSystem, build_image
from scripts.local.layout import ROOT

#: Users of the demo, whose password the tests know.
DEMO = {
    "DEMO": "1",
    "DEMO_PASSWORD": "containers-only-1",
    "DEMO_ADMIN_PASSWORD": "containers-only-1",
}


@pytest.fixture(scope="session")
def container_engine() -> Iterator[str]:
    """A container engine with every pinned image and the service's own."""
    if (reason := engine.problem()) is not None:
        pytest.skip(reason)
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
