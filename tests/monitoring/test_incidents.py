"""Who is paged, for what, and which ends are notified: real programs and a pager of the test's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from monitoring.render import HERE, render
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tests.monitoring.sinks import Incident, PagerDuty, pagerduty
from tests.monitoring.test_alertmanager import derived, labels
from tools.local.layout import PORTS, Layout
from tools.local.parts import Part
from tools.local.stack import alertmanager, notifications, prometheus

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

#: Thirty times as fast as shipped.
SPEED = 30


@contextmanager
def started(*parts: Part) -> Iterator[None]:
    try:
        for part in parts:
            part.start()
            assert part.wait_until_ready(30), part.last_words()
        yield
    finally:
        for part in reversed(parts):
            part.stop()


def needed(*programs: str) -> None:
    missing = [name for name in programs if find(name) is None]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)} (make tools)")


class Pager:
    """A real Alertmanager that sends by the example for PagerDuty."""

    def __init__(self, url: str, pagerduty: PagerDuty) -> None:
        self.url = url
        self.pagerduty = pagerduty

    def send(self, *found: dict[str, str], ended: bool = False) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sent = [{"labels": each} | ({"endsAt": now} if ended else {}) for each in found]
        requests.post(f"{self.url}/api/v2/alerts", json=sent, timeout=5).raise_for_status()

    def incidents(self, alert: str, service: str) -> list[Incident]:
        found = self.pagerduty.incidents
        return [each for each in found if alert in each.summary and f" {service} " in each.summary]

    def incident(self, alert: str, service: str) -> Incident:
        (found, *more) = poll(
            lambda: self.incidents(alert, service), 10, f"nobody was paged for {alert}"
        )
        assert not more
        return found


@pytest.fixture(scope="module")
def pager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pager]:
    needed("alertmanager")
    folder = tmp_path_factory.mktemp("pager")
    with pagerduty() as sink:
        example = yaml.safe_load((HERE / "alertmanager/receivers/pagerduty.yml").read_text())
        (configuration,) = example["receivers"][0]["pagerduty_configs"]
        (folder / "key").write_text("a key")
        configuration["routing_key_file"] = str(folder / "key")
        configuration["url"] = f"http://127.0.0.1:{sink.port}/v2/enqueue"
        (folder / "receivers.yml").write_text(yaml.safe_dump(example))
        layout = Layout(folder / "run", {name: free_port() for name in PORTS})
        layout.make()
        file = derived(folder / "config", speed=SPEED, receivers=folder / "receivers.yml")
        with started(alertmanager(layout, file)):
            yield Pager(layout.url("ALERTMANAGER_PORT"), sink)


def test_a_second_outage_opens_a_second_incident(pager: Pager) -> None:
    pager.send(labels("HighErrorRate", "shop"))
    first = pager.incident("HighErrorRate", "shop")
    pager.pagerduty.acknowledge(first)

    pager.send(labels("DatabaseConnectionErrors", "shop", instance="a", database="default"))

    second = pager.incident("DatabaseConnectionErrors", "shop")
    assert second.dedup_key != first.dedup_key
    assert (first.status, second.status) == ("acknowledged", "triggered")


def test_another_instance_of_an_outage_opens_none(pager: Pager) -> None:
    def failing(instance: str) -> dict[str, str]:
        return labels("DatabaseConnectionErrors", "two", instance=instance, database="default")

    pager.send(failing("a"))
    first = pager.incident("DatabaseConnectionErrors", "two")

    pager.send(failing("b"))

    poll(lambda: len(first.events) == 2, 10, "the incident does not know of the other instance")
    assert pager.incidents("DatabaseConnectionErrors", "two") == [first]


@pytest.mark.parametrize(
    ("alert", "label", "values"),
    [
        ("HighErrorRate", "cluster", ("east", "west")),
        ("DatabaseConnectionErrors", "database", ("default", "reports")),
        ("ErrorBudgetFastBurn", "slo", ("expenses", "login")),
        ("ErrorBudgetFastBurn", "sli", ("availability", "latency")),
    ],
)
def test_another_system_is_another_incident(
    pager: Pager, alert: str, label: str, values: tuple[str, str]
) -> None:
    service = f"{alert}-{label}"
    for value in values:
        pager.send(labels(alert, service, **{label: value}))

    poll(lambda: len(pager.incidents(alert, service)) == 2, 10, "they are one incident")


def test_an_incident_ends_with_its_alert_alone(pager: Pager) -> None:
    ending, lasting = labels("HighErrorRate", "four"), labels("ErrorBudgetFastBurn", "four")
    pager.send(ending, lasting)
    first, second = (pager.incident(each["alertname"], "four") for each in (ending, lasting))

    pager.send(ending, ended=True)

    poll(lambda: first.status == "resolved", 10, "it was not resolved")
    assert second.status == "triggered"


def test_an_end_during_a_silence_is_not_notified_nor_the_next_outage_within_the_hour(
    pager: Pager,
) -> None:
    """What docs/monitoring.md tells of silences; Alertmanager's issue 226."""
    alert = labels("HighErrorRate", "muted")
    pager.send(alert)
    incident = pager.incident("HighErrorRate", "muted")
    now = time.time()
    silence = {
        "matchers": [{"name": "service", "value": "muted", "isRegex": False, "isEqual": True}],
        "startsAt": _time(now),
        "endsAt": _time(now + 6),
        "createdBy": "a test",
        "comment": "work",
    }
    url = f"{pager.url}/api/v2/silences"
    requests.post(url, json=silence, timeout=5).raise_for_status()
    # Longer than a turn of the group, two seconds here.
    time.sleep(2.5)

    pager.send(alert, ended=True)
    pager.send(labels("ErrorBudgetFastBurn", "muted"))
    time.sleep(2)
    assert pager.incidents("ErrorBudgetFastBurn", "muted") == []
    pager.incident("ErrorBudgetFastBurn", "muted")  # what began in the silence and lasts

    assert incident.status == "triggered", "it has to be closed by hand"
    # To Alertmanager the same alert is one that it has notified already, for repeat_interval.
    pager.send(alert)
    time.sleep(5)
    assert incident.events == ["trigger"]
    assert pager.incidents("HighErrorRate", "muted") == [incident]


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + "Z"


class Service:
    """What Prometheus scrapes in place of the API: series that grow at each scrape, or nothing."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = {}
        #: What each counter grows by at a scrape.
        self.growth: dict[str, float] = {}
        self.away = False
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if service.away:
                    self.send_error(503)
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(service.scrape().encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def scrape(self) -> str:
        for name, more in self.growth.items():
            self.totals[name] = self.totals.get(name, 0) + more
        return "".join(f"{name} {value}\n" for name, value in self.totals.items())


class Monitored:
    """A service of the test's own with the shipped rules, by Prometheus and Alertmanager."""

    def __init__(self, layout: Layout, service: Service, jaeger: Service) -> None:
        self.layout = layout
        self.service = service
        #: Stands for Jaeger's own metrics.
        self.jaeger = jaeger

    def notified(self, alert: str, status: str) -> list[dict[str, Any]]:
        file = self.layout.logs / "notifications.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            each
            for line in lines
            for each in json.loads(line)["alerts"]
            if (each["labels"]["alertname"], each["status"]) == (alert, status)
        ]

    def firing(self, alert: str) -> bool:
        url = self.layout.url("PROMETHEUS_SERVER_PORT", "/api/v1/alerts")
        found = requests.get(url, timeout=5).json()["data"]["alerts"]
        return any(
            (each["labels"]["alertname"], each["state"]) == (alert, "firing") for each in found
        )


@pytest.fixture
def monitored(tmp_path: Path) -> Iterator[Monitored]:
    needed("alertmanager", "prometheus")
    layout = Layout(tmp_path, {name: free_port() for name in PORTS})
    layout.make()
    service, jaeger = Service(), Service()
    config = layout.folder / "config"
    render(
        config,
        api=service.address,
        alertmanager=layout.address("ALERTMANAGER_PORT"),
        jaeger_metrics=jaeger.address,
        prometheus=layout.address("PROMETHEUS_SERVER_PORT"),
        notifications=layout.address("NOTIFICATIONS_PORT"),
        speed=SPEED,
    )
    with started(
        notifications(layout),
        alertmanager(layout, config / "alertmanager/alertmanager.yml"),
        prometheus(layout, config / "prometheus/prometheus.yml", SPEED),
    ):
        yield Monitored(layout, service, jaeger)
    for each in (service, jaeger):
        each.server.shutdown()
        each.server.server_close()


def eventually(condition: Callable[[], Any], what: str) -> None:
    poll(condition, 40, what)


def test_an_alert_that_was_notified_and_is_then_explained_is_notified_as_resolved(
    monitored: Monitored,
) -> None:
    responses = 'http_responses_total{endpoint="/api/v1/expenses/",outcome="%s"}'
    monitored.service.growth = {responses % "success": 95, responses % "server_error": 5}
    name = "ErrorBudgetFastBurn"
    eventually(lambda: monitored.notified(name, "firing"), f"{name} was not notified")

    monitored.service.away = True

    eventually(lambda: monitored.notified("AllInstancesDown", "firing"), "its cause was not")
    eventually(lambda: monitored.notified(name, "resolved"), f"the end of {name} was not")
    assert monitored.firing("AllInstancesDown")


def test_an_alert_that_was_never_notified_is_not_notified_as_resolved(
    monitored: Monitored,
) -> None:
    """Jaeger is away, which explains the loss of spans, until both end."""
    service, jaeger = monitored.service, monitored.jaeger
    jaeger.away = True
    cause, name = "JaegerDown", "TelemetrySpansDropped"
    eventually(lambda: monitored.notified(cause, "firing"), f"{cause} was not notified")

    service.growth = {'telemetry_spans_dropped_total{reason="export_failed"}': 10}
    # Longer than it would take to be raised (four seconds) and notified (eleven).
    time.sleep(16)
    service.growth = {}
    jaeger.away = False

    eventually(lambda: monitored.notified(cause, "resolved"), f"the end of {cause} was not")
    # The losses leave the window of the rule.
    time.sleep(12)
    assert monitored.notified(name, "firing") == monitored.notified(name, "resolved") == []
