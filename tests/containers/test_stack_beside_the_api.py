"""``monitoring/docker-compose.yml`` alone, beside an API that runs on the host."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from monitoring.render import HERE
from testing.servers import Server, make_database, poll
from tests.containers.conftest import alerts_by_notification, write_fast_rules
from tools.containers.compose import ComposeSystem
from tools.doctor.__main__ import examine
from tools.doctor.check import System

pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(
    container_engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ComposeSystem, Server]]:
    """The stack's containers, and gunicorn on a free port where they reach it.

    The shipped target is port 8080 of the host, which may be taken here: that file alone differs.
    """
    folder = tmp_path_factory.mktemp("stack-beside")
    system = ComposeSystem([HERE / "docker-compose.yml", folder / "other-port.yml"])
    api = None
    try:
        api = Server(
            lambda port: [
                *(sys.executable, "-m", "gunicorn", "-c", "config/gunicorn.conf.py"),
                *("config.wsgi", "--bind", f"0.0.0.0:{port}"),
            ],
            {
                "DATABASE_URL": make_database("beside_the_stack", "config.settings"),
                "DEMO": "1",
                "OTEL_TRACES_EXPORTER": "otlp",
                "OTEL_EXPORTER_OTLP_ENDPOINT": system.url("JAEGER_OTLP_HTTP_PORT"),
            },
        )
        write_targets(folder, api.port)
        system.up()
        yield system, api
    finally:
        system.down()
        if api is not None:
            api.stop()


def write_targets(folder: Path, port: int) -> None:
    targets = folder / "targets"
    targets.mkdir(exist_ok=True)
    for file in (HERE / "prometheus/targets/stack-only").iterdir():
        text = file.read_text()
        (targets / file.name).write_text(
            text.replace("host.docker.internal:8080", f"host.docker.internal:{port}")
        )
    override = {"services": {"prometheus": {"volumes": [f"{targets}:/etc/prometheus/targets:ro"]}}}
    (folder / "other-port.yml").write_text(yaml.safe_dump(override))


def test_every_health_check_passes(stack: tuple[ComposeSystem, Server]) -> None:
    states = stack[0].states()

    assert states.pop("jaeger-volume") == "exited"
    assert set(states.values()) == {"healthy"}, states


def test_prometheus_reaches_the_api_on_the_host(stack: tuple[ComposeSystem, Server]) -> None:
    system, _api = stack
    url = system.url("PROMETHEUS_SERVER_PORT", "/api/v1/targets")

    def all_up() -> bool:
        targets = requests.get(url, timeout=10).json()["data"]["activeTargets"]
        return bool(targets) and {each["health"] for each in targets} == {"up"}

    poll(all_up, 40, "not every target is up")


def test_the_doctor_finds_nothing_wrong(stack: tuple[ComposeSystem, Server]) -> None:
    system, api = stack
    said: list[str] = []

    failed = examine(
        System(
            api=api.url(""),
            prometheus=system.url("PROMETHEUS_SERVER_PORT"),
            alertmanager=system.url("ALERTMANAGER_PORT"),
            jaeger=system.url("JAEGER_QUERY_PORT"),
        ),
        say=said.append,
    )

    assert failed == 0, "\n".join(said)


def test_an_alert_fires_and_somebody_is_notified(
    stack: tuple[ComposeSystem, Server], tmp_path: Path
) -> None:
    system, api = stack

    alerts_by_notification(system, write_fast_rules(tmp_path, f"host.docker.internal:{api.port}"))


def test_one_request_is_in_prometheus_trace_and_log(stack: tuple[ComposeSystem, Server]) -> None:
    system, api = stack
    correlation_id = "beside-the-stack-1"

    answer = requests.get(
        api.url("/api/v1/expenses/"), headers={"X-Correlation-ID": correlation_id}, timeout=20
    )

    assert (answer.status_code, answer.headers["X-Correlation-ID"]) == (401, correlation_id)
    record = api.line_of(correlation_id)
    url = system.url("JAEGER_QUERY_PORT", f"/api/traces/{record['trace_id']}")
    poll(lambda: requests.get(url, timeout=10).json().get("data"), 20, "Jaeger has no trace")
    query = 'http_requests_total{endpoint="/api/v1/expenses/",status="401"} >= 1'
    url = system.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")
    poll(
        lambda: requests.get(url, {"query": query}, timeout=10).json()["data"]["result"],
        40,
        "Prometheus has no such series",
    )
