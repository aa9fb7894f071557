from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.servers import make_database
from tests.telemetry.receiver import Receiver
from tests.telemetry.wire import Wire


@pytest.fixture(scope="session")
def servers_database() -> str:
    """A migrated database that no test's transaction hides from a server."""
    return make_database("servers", "tests.telemetry.site.settings")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def wire(receiver: Receiver) -> Iterator[Wire]:
    """Spans that go to the receiver, without Django."""
    made = Wire(receiver)
    yield made
    made.provider.shutdown()
