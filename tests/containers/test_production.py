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
from testing.servers import poll
from tests.containers.conftest import alerts_by_notification, write_fast_rules
from tools.containers.compose import ComposeSystem
from tools.containers.images import docker
from tools.doctor.__main__ import examine
from tools.doctor.check import System
from tools.local.layout import ROOT

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

ADDRESS = "127.0.0.83"
UP = "up{job='expense-tracker-api'} == 1"
METRIC = "sum by (instance) (http_requests_total{endpoint='/api/v1/expenses/'})"


@dataclass
class Production:
    """The running overlay with its secrets."""

    system: ComposeSystem
    variables: dict[str, str]
    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

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
        yield Production(system, variables, folder)
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


def test_one_request_is_in_metrics_trace_and_log(production: Production) -> None:
    correlation_id = "production-1"

    answer = production.get(443, "/api/v1/expenses/", headers={"X-Correlation-ID": correlation_id})

    assert answer.headers["X-Correlation-ID"] == correlation_id
    (record,) = [
        each
        for each in production.system.records()
        if each.get("correlation_id") == correlation_id and each["logger"] == "telemetry.request"
    ]
    path = f"/api/traces/{record['trace_id']}"
    poll(
        lambda: production.get(16686, path, auth=production.person).json().get("data"),
        20,
        "Jaeger has no trace",
    )
    query = 'http_requests_total{endpoint="/api/v1/expenses/",status="401"} >= 1'
    poll(
        lambda: production.get(
            9090, "/api/v1/query", params={"query": query}, auth=production.person
        ).json()["data"]["result"],
        40,
        "Prometheus has no such series",
    )


def test_the_doctor_finds_nothing_wrong(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(production.authority))
    name, password = production.person
    said: list[str] = []

    failed = examine(
        System(
            api=f"https://{ADDRESS}",
            prometheus=f"https://{name}:{password}@{ADDRESS}:9090",
            alertmanager=f"https://{name}:{password}@{ADDRESS}:9093",
            jaeger=f"https://{name}:{password}@{ADDRESS}:16686",
        ),
        say=said.append,
    )

    assert failed == 0, "\n".join(said)
    assert password not in "\n".join(said)


def test_an_alert_fires_and_somebody_is_notified(production: Production, tmp_path: Path) -> None:
    secrets = Path("/etc/prometheus/secrets")

    alerts_by_notification(production.system, write_fast_rules(tmp_path, "api:8080", secrets))


def test_two_instances_share_the_requests_and_one_carries_on_alone(production: Production) -> None:
    system = production.system
    more = make(production.folder, instances="2", project=system.project)
    system.environment |= {name: more[name] for name in ("API_INSTANCES", "API_ADDRESSES")}
    names = [f"{system.project}-api-{index}:8080" for index in (1, 2)]
    system.up()

    def instances(condition: str) -> set[str]:
        query = f"{METRIC} {condition}" if condition else UP
        answer = production.get(
            9090, "/api/v1/query", params={"query": query}, auth=production.person
        )
        return {each["metric"]["instance"] for each in answer.json()["data"]["result"]}

    for _ in range(40):
        assert production.get(443, "/api/v1/expenses/").status_code == 401
    # The only target before them goes on for some scrapes.
    poll(lambda: instances("") >= set(names), 60, "not both are up")
    poll(lambda: instances(">= 10") >= set(names), 60, "one got no requests")

    docker("kill", names[0].partition(":")[0])

    statuses = [production.get(443, "/api/v1/expenses/").status_code for _ in range(20)]
    assert set(statuses) == {401}
    # It is a target that is down now, and so an alert.
    poll(lambda: names[0] not in instances(""), 60, "the killed instance is up")
    assert names[1] in instances("")
