from __future__ import annotations

import pytest

from scripts.servers import make_database


@pytest.fixture(scope="session")
def servers_database() -> str:
    """A migrated database that no test's transaction hides from a server."""
    return make_database("servers", "tests.telemetry.site.settings")
