"""Faults that only containers show, made for real: each raises its alert, and ends.

Rules, scrapes and notifications are thirty times as fast as shipped; everything else is as shipped,
but for a smaller memory limit of the API and a small volume of the database.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from testing.servers import poll
from tests.containers.conftest import DEMO, EXPENSE, login, notified, write_fast_rules
from tools.containers.compose import ComposeSystem
from tools.containers.images import docker
from tools.local.layout import ROOT

pytestmark = [pytest.mark.container_drills, pytest.mark.timeout(400)]

PATH = "/api/v1/expenses/"
LEAK = "/api/v1/demo/faults/memory/?mb=200"


#: What differs from the shipped file beside the rules' speed.
SMALLER = {
    "services": {"api": {"mem_limit": "600m", "memswap_limit": "600m"}},
    "volumes": {
        "postgres-data": {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=250m"}}
    },
}


@pytest.fixture(scope="module")
def system(container_engine: str) -> Iterator[ComposeSystem]:
    folder = Path(tempfile.mkdtemp(prefix="container-drills-"))
    (folder / "smaller.yml").write_text(yaml.safe_dump(SMALLER))
    files = (write_fast_rules(folder, "api:8080"), folder / "smaller.yml")
    started = ComposeSystem([ROOT / "docker-compose.yml", *files], DEMO)
    try:
        started.up()
        started.execute(
            "api", "python", "manage.py", "seed_demo", "--expenses", "20", "--users", "1"
        )
        yield started
    finally:
        started.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def token(system: ComposeSystem) -> dict[str, str]:
    return login(system)


@contextmanager
def traffic(system: ComposeSystem, token: dict[str, str], pairs: int = 1) -> Iterator[list[int]]:
    """Clients that read and write, ``pairs`` of them, while the block runs; gives the statuses, 0
    for no answer."""
    ended = threading.Event()
    statuses: list[int] = []

    def ask(method: str, body: dict[str, str] | None) -> None:
        while not ended.wait(0.1):
            try:
                answer = requests.request(
                    method,
                    system.url("API_PORT", PATH),
                    headers=token,
                    json=body,
                    timeout=20,
                )
                statuses.append(answer.status_code)
            except requests.RequestException:
                statuses.append(0)

    clients = [
        threading.Thread(target=ask, args=given, daemon=True)
        for given in (("GET", None), ("POST", EXPENSE)) * pairs
    ]
    for client in clients:
        client.start()
    try:
        yield statuses
    finally:
        ended.set()
        for client in clients:
            client.join(25)


def alerts(system: ComposeSystem) -> set[str]:
    """Names of the alerts that Prometheus fires."""
    url = system.url("PROMETHEUS_SERVER_PORT", "/api/v1/alerts")
    found = requests.get(url, timeout=10).json()["data"]["alerts"]
    return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}


def fires_and_ends(system: ComposeSystem, alert: str, end: Callable[[], object]) -> None:
    poll(lambda: alert in alerts(system), 90, f"{alert} does not fire")
    poll(lambda: notified(system, alert, "firing"), 40, f"nobody was notified of {alert}")
    end()
    poll(lambda: alert not in alerts(system), 120, f"{alert} does not end")


def answers(system: ComposeSystem, path: str = "/health/ready") -> bool:
    try:
        return requests.get(system.url("API_PORT", path), timeout=10).status_code == 200
    except requests.RequestException:
        return False


def test_a_killed_api_is_reported_and_comes_back(system: ComposeSystem) -> None:
    # The engine's own kill: the container stays down, as one that an operator stopped.
    docker("kill", system.container("api"))

    fires_and_ends(system, "AllInstancesDown", lambda: system.up("api"))

    assert answers(system)


def test_a_paused_database_costs_503_in_time_and_is_reported(
    system: ComposeSystem, token: dict[str, str]
) -> None:
    # Each waits up to five seconds for its answer; the window of the alert is four here.
    with traffic(system, token, pairs=4) as statuses:
        docker("pause", system.container("postgres"))
        try:
            poll(lambda: 503 in statuses, 60, "no request was answered with 503")
            assert answers(system, "/health/live")
            fires_and_ends(
                system,
                "HighErrorRate",
                lambda: docker("unpause", system.container("postgres")),
            )
        finally:
            docker("unpause", system.container("postgres"), check=False)
        poll(lambda: 0 not in statuses[-4:] and statuses[-1] < 400, 60, "it did not recover")


def test_a_jaeger_off_the_network_costs_no_request(
    system: ComposeSystem, token: dict[str, str]
) -> None:
    network = f"{system.project}_default"
    name = system.container("jaeger")
    with traffic(system, token) as statuses:
        docker("network", "disconnect", network, name)
        fires_and_ends(
            system,
            "JaegerDown",
            lambda: docker("network", "connect", "--alias", "jaeger", network, name),
        )
        assert statuses
        assert set(statuses) <= {200, 201}


def test_a_full_volume_of_the_database_is_reported_and_loses_nothing(
    system: ComposeSystem, token: dict[str, str]
) -> None:
    filling = "/var/lib/postgresql/18/docker/filling"

    def count() -> int:
        text = system.execute(
            "postgres",
            *("psql", "-U", "expenses", "-d", "expenses", "-tAc"),
            "SELECT count(*) FROM expenses_expense",
        )
        return int(text)

    with traffic(system, token) as statuses:
        before, created_before = count(), statuses.count(201)
        system.execute("postgres", "sh", "-c", f"cat /dev/zero > {filling} || true", check=False)
        try:
            poll(lambda: any(status >= 500 for status in statuses), 90, "nothing failed")
            poll(lambda: alerts(system) & {"HighErrorRate", "EndpointFailing"}, 90, "no alert")
        finally:
            system.execute("postgres", "rm", "-f", filling)
        poll(lambda: statuses[-1] < 400 and statuses[-2] < 400, 90, "it did not recover")
    # What was acknowledged is there; what came without an answer may be.
    acknowledged = statuses.count(201) - created_before
    assert count() >= before + acknowledged - 2
    poll(lambda: not alerts(system) & {"HighErrorRate"}, 120, "the alert does not end")


def test_a_worker_that_leaks_is_killed_and_the_container_lives(system: ComposeSystem) -> None:
    started = system.inspect("api", ".State.StartedAt")
    killed = 0

    def leak_until_killed() -> bool:
        nonlocal killed
        for _ in range(12):
            try:
                requests.get(system.url("API_PORT", LEAK), timeout=20)
            except requests.ConnectionError:
                killed += 1
        return "WorkerRestartLoop" in alerts(system)

    poll(leak_until_killed, 240, "WorkerRestartLoop does not fire")

    state = system.inspect("api", ".State")
    assert killed
    assert state["StartedAt"] == started, (state, system.logs("api")[-60:])
    poll(lambda: answers(system), 30, "the API does not answer")
