"""gunicorn's ``--reload``: a file that changed ends all workers, and the instance counts on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.servers import Server, gunicorn, poll
from tests.conftest import samples

pytestmark = pytest.mark.servers

HELLOS = {"method": "GET", "endpoint": "/hello/", "status": "200"}


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """The module that is served; of the repository nothing is touched."""
    module = tmp_path / "reloaded.py"
    module.write_text("from config.wsgi import application\n")
    return module


@pytest.fixture
def server(watched: Path, servers_database: str) -> Iterator[Server]:
    command = gunicorn("sync", 2, watched.stem, settings="tests/telemetry/site/gunicorn.conf.py")
    started = Server(
        lambda port: [*command(port), "--reload"],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            "PYTHONPATH": str(watched.parent),
        },
    )
    yield started
    started.stop()


def series(scraped: str) -> list[str]:
    return [line.rpartition(" ")[0] for line in scraped.splitlines() if not line.startswith("#")]


def test_counters_go_on_over_a_reload_and_no_series_comes_twice(
    server: Server, watched: Path
) -> None:
    counted: list[float] = []
    poll(lambda: len(server.workers()) == 2, 20, "not every worker came")
    first = set(server.workers())

    def count() -> None:
        server.get("/hello/")
        counted.append(samples(server.scrape())["http_requests_total", frozenset(HELLOS.items())])

    def reloaded() -> bool:
        count()
        workers = set(server.workers())
        if workers & first:
            # Again and again: a worker looks at its files from its start on, once a second.
            watched.touch()
        return len(workers) == 2 and not workers & first

    count()
    before = {one for one in series(server.scrape()) if "pid=" not in one}
    poll(reloaded, 20, "not every worker was replaced")

    after = series(server.scrape())
    assert counted == [*range(1, len(counted) + 1)]
    assert len(after) == len(set(after))
    assert before <= set(after)
    assert not [one for one in after for worker in first if f'pid="{worker}"' in one]
