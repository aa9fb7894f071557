"""The figures of Endpoint Detail against known traffic, with real workers and Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from monitoring.alerts.table import JOB
from monitoring.grafana.generate import FOLDER
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import Server, gunicorn, make_database, poll
from tests.conftest import samples
from tools.local import stack
from tools.local.layout import Layout

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SITE = "tests.telemetry.site.settings"
ENDPOINT = "/answers/"
#: Statements that each request runs.
STATEMENTS = 3
WINDOW = "40s"


class Field:
    """A service, and a Prometheus that scrapes it every second."""

    def __init__(self, server: Server, layout: Layout) -> None:
        self.server = server
        self._url = layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/query")

    def send(self, status: int, times: int) -> None:
        for _ in range(times):
            answer = self.server.get(f"{ENDPOINT}?n={STATEMENTS}&status={status}")
            assert answer.status_code == status

    def ask(self, expression: str) -> list[float]:
        answer = requests.get(self._url, {"query": expression}, timeout=10).json()
        return [float(each["value"][1]) for each in answer["data"]["result"]]

    def scraped(self) -> None:
        """Wait until Prometheus has seen what was sent so far, by two scrapes."""
        key = ("http_requests_total", frozenset[tuple[str, str]]())
        sent = sum(
            value for (name, _), value in samples(self.server.scrape()).items() if name == key[0]
        )
        poll(lambda: self.ask("sum(http_requests_total)") == [sent], 20, "it was not scraped")
        time.sleep(1.5)


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    if find("prometheus") is None:
        pytest.skip("not built: prometheus (make tools)")
    database = make_database("endpoint_detail", SITE)
    server = Server(gunicorn(), {"DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": SITE})
    layout = Layout(tmp_path, {"PROMETHEUS_SERVER_PORT": free_port()})
    layout.make()
    file = tmp_path / "prometheus.yml"
    target = {"targets": [f"127.0.0.1:{server.port}"]}
    file.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
                "scrape_configs": [{"job_name": JOB, "static_configs": [target]}],
            }
        )
    )
    prometheus = stack.prometheus(layout, file)
    prometheus.start()
    try:
        assert prometheus.wait_until_ready(20), prometheus.last_words()
        made = Field(server, layout)
        poll(lambda: made.ask(f'up{{job="{JOB}"}} == 1'), 20, "it is not scraped")
        # The zeros with which the series begin.
        poll(lambda: made.ask("count_over_time(process_workers[1m]) > 1"), 20, "it is not scraped")
        yield made
    finally:
        prometheus.stop()
        server.stop()


def expressions(title: str) -> list[str]:
    """What a panel asks for, with its variables set."""
    board = json.loads((FOLDER / "endpoint-detail.json").read_text())
    (panel,) = (each for each in board["panels"] if each["title"] == title)
    values = {"$__rate_interval": WINDOW, "$endpoint": ENDPOINT, "$job": ".+", "$instance": ".+"}
    found = []
    for target in panel["targets"]:
        text = target["expr"]
        for name, value in values.items():
            text = text.replace(name, value)
        found.append(text)
    return found


def test_the_figures_are_those_of_the_traffic(field: Field) -> None:
    field.send(200, 30)
    field.scraped()
    # A status that was not there before: its series begins with all of them at once.
    field.send(404, 60)
    field.scraped()
    field.send(500, 10)
    field.scraped()

    (statements,) = expressions("Statements of a request")
    assert field.ask(statements) == [pytest.approx(STATEMENTS, rel=0.01)]
    altogether, in_sql = (field.ask(each)[0] for each in expressions("Time of a request"))
    assert 0 < in_sql < altogether < 1
    # The 404s are none of its failures, and hide none.
    (share,) = expressions("Share of 5xx answers")
    assert field.ask(share) == [pytest.approx(10 / 40, rel=0.01)]
    (total,) = expressions("Requests a second")
    assert field.ask(total)[0] * float(WINDOW[:-1]) == pytest.approx(100, rel=0.15)
