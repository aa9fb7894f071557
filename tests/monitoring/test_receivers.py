"""Each example of a receiver in a real Alertmanager: what arrives, and with which secret."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from monitoring.alerts.generate import ALERTS
from monitoring.render import HERE
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tests.monitoring.sinks import http_sink, mail_sink
from tests.monitoring.test_alertmanager import EXAMPLES, RECEIVERS, SHIPPED, derived
from tools.local.layout import PORTS, Layout
from tools.local.stack import alertmanager

pytestmark = [pytest.mark.servers, pytest.mark.timeout(60)]

RULES = {alert.name: alert.rule() for alerts in ALERTS.values() for alert in alerts}
#: The folder of secrets in the examples.
SECRETS = "/etc/alertmanager/secrets/"
ANNOTATIONS = {
    "summary": "30% of the requests fail",
    "description": "More than 10 % of all answers have been 5xx.",
    "runbook_url": "https://example.org/runbooks/x.md",
    "dashboard_url": "https://grafana.example.org/d/error-tracking?from=now-1h&to=now&var-job=a",
    "traces_url": "https://jaeger.example.org/search?service=a&tags=%7B%22error%22%3A%22true%22%7D",
}
LINKS = [ANNOTATIONS[name] for name in ("runbook_url", "dashboard_url", "traces_url")]
Change = Callable[[dict[str, Any]], None]


def example(name: str, folder: Path, secrets: dict[str, str], change: Change) -> Path:
    """An example with its secrets in files of ours; ``change`` leads each receiver to the sink."""
    (folder / "secrets").mkdir()
    for secret, text in secrets.items():
        (folder / "secrets" / secret).write_text(text)
    text = (HERE / f"alertmanager/receivers/{name}.yml").read_text()
    content = yaml.safe_load(text.replace(SECRETS, f"{folder}/secrets/"))
    for receiver in content["receivers"]:
        for key, configurations in receiver.items():
            for each in configurations if key.endswith("_configs") else []:
                change(each)
    file = folder / "receivers.yml"
    file.write_text(yaml.safe_dump(content))
    return file


@contextmanager
def told(folder: Path, receivers: Path, alert: str) -> Iterator[None]:
    """An Alertmanager that has these receivers and this alert."""
    if find("alertmanager") is None:
        pytest.skip("not built: alertmanager (make tools)")
    layout = Layout(folder / "run", {name: free_port() for name in PORTS})
    layout.make()
    part = alertmanager(layout, derived(folder / "config", speed=60, receivers=receivers))
    part.start()
    try:
        assert part.wait_until_ready(20), part.last_words()
        sent = {
            "labels": {"alertname": alert, **RULES[alert]["labels"]},
            "annotations": ANNOTATIONS,
        }
        url = layout.url("ALERTMANAGER_PORT", "/api/v2/alerts")
        requests.post(url, json=[sent], timeout=5).raise_for_status()
        yield
    finally:
        part.stop()


def nothing(_configuration: dict[str, Any]) -> None:
    """The example leads to the sink by its secret."""


def test_a_mail_says_what_it_is_and_where_to_look(tmp_path: Path) -> None:
    with mail_sink() as sink:

        def to_the_sink(configuration: dict[str, Any]) -> None:
            # The sink has no certificate.
            configuration |= {"smarthost": f"127.0.0.1:{sink.port}", "require_tls": False}

        file = example("email", tmp_path, {"smtp-password": "from a file"}, to_the_sink)
        with told(tmp_path, file, "SlowDatabase"):
            (mail, *_) = poll(lambda: list(sink.kept), 20, "no mail came")

    assert (mail.user, mail.password) == ("alerts@example.org", "from a file")
    assert mail.to == ["backend@example.org"]
    assert mail.message["Subject"] == "[FIRING 1] expense-tracker-api warning: SlowDatabase"
    parts = {
        part.get_content_type(): part.get_payload(decode=True).decode()
        for part in mail.message.walk()
        if not part.is_multipart()
    }
    assert all(link in parts["text/plain"] for link in LINKS)
    assert all(link.replace("&", "&amp;") in parts["text/html"] for link in LINKS)
    assert ANNOTATIONS["summary"] in parts["text/html"]


def test_slack_gets_a_message_with_links(tmp_path: Path) -> None:
    with http_sink() as sink:
        secret = f"http://127.0.0.1:{sink.port}/services/T0/B0/from-a-file"
        file = example("slack", tmp_path, {"slack-url": secret}, nothing)
        with told(tmp_path, file, "HighErrorRate"):
            (post, *_) = poll(lambda: list(sink.kept), 20, "Slack was not told")

    (message,) = json.loads(post.body)["attachments"]
    assert post.path == "/services/T0/B0/from-a-file"
    assert message["title"] == "[FIRING 1] expense-tracker-api critical: HighErrorRate"
    assert message["title_link"] == ANNOTATIONS["dashboard_url"]
    assert f"<{ANNOTATIONS['dashboard_url']}|Dashboard>" in message["text"]
    assert f"<{ANNOTATIONS['traces_url']}|Traces>" in message["text"]
    assert ANNOTATIONS["runbook_url"] in message["text"]


def test_a_webhook_gets_the_alert_with_its_links(tmp_path: Path) -> None:
    with http_sink() as sink:
        secrets = {
            "webhook-url": f"http://127.0.0.1:{sink.port}/hook",
            "webhook-token": "from a file",
            "dead-mans-switch-url": f"http://127.0.0.1:{sink.port}/alive",
        }
        file = example("webhook", tmp_path, secrets, nothing)
        with told(tmp_path, file, "AlertmanagerDown"):
            (post, *_) = poll(lambda: list(sink.kept), 20, "the webhook was not called")

    (alert,) = json.loads(post.body)["alerts"]
    assert (post.path, post.headers["Authorization"]) == ("/hook", "Bearer from a file")
    assert alert["annotations"] == ANNOTATIONS
    assert alert["labels"]["alertname"] == "AlertmanagerDown"


def test_pagerduty_gets_an_event_with_links(tmp_path: Path) -> None:
    with http_sink() as sink:

        def to_the_sink(configuration: dict[str, Any]) -> None:
            configuration["url"] = f"http://127.0.0.1:{sink.port}/v2/enqueue"

        file = example("pagerduty", tmp_path, {"pagerduty-key": "from a file"}, to_the_sink)
        with told(tmp_path, file, "HighErrorRate"):
            (post, *_) = poll(lambda: list(sink.kept), 20, "PagerDuty was not told")

    event = json.loads(post.body)
    assert event["routing_key"] == "from a file"
    assert event["payload"]["summary"].endswith("HighErrorRate")
    assert [link["href"] for link in event["links"]] == LINKS[1:]


def test_there_is_an_example_for_every_receiver() -> None:
    shown = {
        receiver["name"]
        for file in EXAMPLES
        for receiver in yaml.safe_load(file.read_text())["receivers"]
    }

    shipped = {each["name"] for each in yaml.safe_load(SHIPPED.read_text())["receivers"]}
    assert shown == shipped - {"print"} == set(RECEIVERS.values())
