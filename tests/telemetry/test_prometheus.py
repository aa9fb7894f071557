"""A real Prometheus and promtool read what several workers serve."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import Server, gunicorn, poll, uvicorn

pytestmark = pytest.mark.servers

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TIMES = "http_request_duration_seconds_bucket"
#: Seconds that fall into buckets of their own.
SECONDS = ("0", "0.007", "0.015", "0.03", "0.06")


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def server(request: pytest.FixtureRequest, servers_database: str) -> Iterator[Server]:
    started = Server(
        gunicorn(workers=2) if request.param == "gunicorn" else uvicorn(workers=2),
        {
            "DATABASE_URL": servers_database,
            "DJANGO_SETTINGS_MODULE": "tests.telemetry.site.settings",
            # Datagrams to nobody: traces are sampled, and need no receiver.
            "OTEL_TRACES_EXPORTER": "jaeger",
            "JAEGER_AGENT_PORT": "9",
        },
        name=request.param,
    )
    yield started
    started.stop()


def program(name: str) -> str:
    found = find(name)
    if found is None:
        pytest.skip(f"not built: {name} (make tools)")
    return str(found)


@pytest.fixture
def prometheus(server: Server, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes the server each second."""
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s}\n"
        "scrape_configs:\n"
        f"  - {{job_name: api, static_configs: [{{targets: ['127.0.0.1:{server.port}']}}]}}\n"
    )
    address = f"127.0.0.1:{free_port()}"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={configuration}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        poll(lambda: is_ready(address), 30, "Prometheus was not ready")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(20)


def is_ready(address: str) -> bool:
    """It listens before it can answer, and says 503 for so long."""
    try:
        return requests.get(f"http://{address}/-/ready", timeout=2).ok
    except requests.ConnectionError:
        return False


def ask(server: Server, traces: dict[str, str]) -> None:
    """A request for each bucket; which process answered is kept by the request's trace."""
    for seconds in SECONDS:
        answer = server.get(f"/process/?seconds={seconds}")
        trace_id = answer.headers["Server-Timing"].partition('desc="00-')[2][:32]
        traces[trace_id] = answer.text


def test_one_scrape_has_exemplars_of_several_workers(server: Server) -> None:
    traces: dict[str, str] = {}

    def processes() -> set[str]:
        ask(server, traces)
        found = {
            sample.exemplar.labels["trace_id"]
            for family in text_string_to_metric_families(server.scrape(OPENMETRICS))
            for sample in family.samples
            if sample.name == TIMES and sample.exemplar
        }
        return {traces[trace_id] for trace_id in found if trace_id in traces}

    poll(lambda: len(processes()) >= 2, 60, "no exemplars of two processes in one scrape")


def test_prometheus_keeps_exemplars_of_several_workers(server: Server, prometheus: str) -> None:
    traces: dict[str, str] = {}
    begun = time.time()

    def processes() -> set[str]:
        ask(server, traces)
        query = {"query": TIMES, "start": str(begun - 60), "end": str(time.time() + 60)}
        answer = requests.get(f"{prometheus}/api/v1/query_exemplars", query, timeout=5).json()
        found = {
            exemplar["labels"]["trace_id"]
            for series in answer["data"]
            for exemplar in series["exemplars"]
        }
        return {traces[trace_id] for trace_id in found if trace_id in traces}

    poll(lambda: len(processes()) >= 2, 60, "Prometheus has no exemplars of two processes")


def test_prometheus_takes_every_sample_of_openmetrics(server: Server, prometheus: str) -> None:
    """promtool's linter reads the older format alone; Prometheus itself asks for OpenMetrics."""
    for path in ("/query/", "/fail/", "/coffee/", "/nowhere/"):
        server.get(path)

    def taken() -> bool:
        query = {"query": 'scrape_samples_scraped{job="api"}'}
        answer = requests.get(f"{prometheus}/api/v1/query", query, timeout=5).json()
        counts = [int(series["value"][1]) for series in answer["data"]["result"]]
        families = text_string_to_metric_families(server.scrape(OPENMETRICS))
        return counts == [sum(len(family.samples) for family in families)]

    poll(taken, 30, "Prometheus did not take every sample")


def test_promtool_has_nothing_against_a_whole_scrape(server: Server) -> None:
    for path in ("/query/", "/fail/", "/coffee/", "/nowhere/"):
        server.get(path)

    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=server.scrape(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")
