"""Processes that ``multiprocessing`` starts count with the instance of the process that did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.servers import Server, gunicorn, poll, runserver, uvicorn
from tests.conftest import samples

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

SERVERS = {"gunicorn": gunicorn(), "uvicorn": uvicorn(), "runserver": runserver()}
WEAK = {"strength": "weak"}


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    started = Server(
        SERVERS[request.param],
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
        },
        name=request.param,
    )
    yield started
    started.stop()


def value(server: Server, name: str, **labels: str) -> float:
    return samples(server.scrape()).get((name, frozenset(labels.items())), 0.0)


def test_what_children_count_is_summed_with_the_instance(server: Server) -> None:
    workers = 1 if server.name == "runserver" else 2
    poll(lambda: value(server, "process_workers") == workers, 20, "the workers did not begin")
    for number, method in enumerate(("spawn", "forkserver"), start=1):
        assert server.get(f"/spawn/?method={method}", timeout=60).text == "[0, 0]"

        # A process that stood alone finds its children's folder within seconds.
        poll(
            lambda: value(server, "coffees_total", **WEAK) >= 2 * number,  # noqa: B023
            20,
            f"what children of {method} counted is missing",
        )

    assert value(server, "coffees_total", **WEAK) == 4
    assert value(server, "process_workers") == workers
