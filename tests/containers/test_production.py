"""``docker-compose.production.yml`` on a real engine: doors shut without a login and open with one.

Ports are published on a loopback address of its own, so that nothing else is in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from monitoring.production import configuration
from monitoring.production.make import make
from scripts.containers.compose import ComposeSystem
from scripts.local.layout import ROOT
from scripts.servers import poll

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

ADDRESS = "127.0.0.83"


@dataclass
class Production:
    """The running overlay with its secrets."""

    system: ComposeSystem
    variables: dict[str, str]
    authority: Path

    def get(self, port: int, path: str, **options: Any) -> requests.Response:
        """Ask by a published port, and trust the certificate of ``make production-secrets``."""
        url = f"https://{ADDRESS}:{port}{path}"
        return requests.get(
            url, verify=str(self.authority), timeout=20, allow_redirects=False, **options
        )

    @property
    def person(self) -> tuple[str, str]:
        return configuration.PERSON, self.variables["OPS_PASSWORD"]


@pytest.fixture(scope="module")
def production(
    container_engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production") / "secrets"
    variables = make(folder, host=ADDRESS, address=ADDRESS)
    # The files are named to the plugin, and paths are from the checkout.
    given = {name: value for name, value in variables.items() if name != "COMPOSE_FILE"}
    system = ComposeSystem(
        [ROOT / "docker-compose.yml", ROOT / "docker-compose.production.yml"], given
    )
    try:
        system.up()
        yield Production(system, variables, folder / "ca.crt")
    finally:
        system.down()


def test_every_health_check_passes(production: Production) -> None:
    states = production.system.states()

    assert states.pop("migrate") == "exited"
    assert states.pop("jaeger-volume") == "exited"
    assert set(states.values()) == {"healthy"}, states


def test_the_api_answers_by_tls_and_asks_for_a_token(production: Production) -> None:
    answer = production.get(443, "/api/v1/expenses/", headers={"X-Correlation-ID": "prod-1"})

    assert answer.status_code == 401
    assert answer.headers["X-Correlation-ID"] == "prod-1"


def test_a_stranger_does_not_read_the_metrics(production: Production) -> None:
    token = {"Authorization": f"Bearer {production.variables['METRICS_TOKEN']}"}

    assert production.get(443, "/metrics").status_code == 401
    assert production.get(443, "/metrics", headers=token).status_code == 200


@pytest.mark.parametrize(
    ("port", "path"),
    [(9090, "/api/v1/targets"), (9093, "/api/v2/alerts"), (16686, "/api/services")],
    ids=["prometheus", "alertmanager", "jaeger"],
)
def test_a_door_of_the_stack_opens_with_the_password_alone(
    production: Production, port: int, path: str
) -> None:
    assert production.get(port, path).status_code == 401
    assert production.get(port, path, auth=("ops", "wrong")).status_code == 401
    assert production.get(port, path, auth=production.person).status_code == 200


def test_every_target_is_up_behind_its_lock(production: Production) -> None:
    def all_up() -> bool:
        answer = production.get(9090, "/api/v1/targets", auth=production.person).json()
        targets = answer["data"]["activeTargets"]
        return bool(targets) and {each["health"] for each in targets} == {"up"}

    poll(all_up, 60, "not every target is up")


def test_no_other_port_is_published(production: Production) -> None:
    published = {
        publisher["PublishedPort"]
        for container in production.system.containers()
        for publisher in container["Publishers"] or []
        if publisher["PublishedPort"]
    }

    assert published == {443, 3001, 9090, 9093, 16686}
