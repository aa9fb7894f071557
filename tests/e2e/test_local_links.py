"""Every link of a local notification, followed: it leads to something that answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import yaml

from monitoring.alerts import alert
from testing.servers import poll
from tests.e2e.conftest import Whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def notification(whole: Whole) -> dict[str, Any]:
    """One that is sent on every day: the alert that always fires."""
    file = whole.layout.logs / "notifications.jsonl"

    def found() -> list[dict[str, Any]]:
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            message
            for message in map(json.loads, lines)
            if message["commonLabels"].get("alertname") == "Watchdog"
        ]

    (message, *_) = poll(found, 60, "Watchdog was not notified")
    sent: dict[str, Any] = message
    return sent


def test_the_runbook_is_a_file(notification: dict[str, Any]) -> None:
    runbook = Path(notification["alerts"][0]["annotations"]["runbook_url"])

    assert runbook.is_absolute()
    assert runbook.read_text().startswith("# Watchdog")


def test_the_dashboard_is_the_alert_on_alertmanagers_page(notification: dict[str, Any]) -> None:
    url = notification["alerts"][0]["annotations"]["dashboard_url"]

    page = requests.get(url, timeout=10)

    assert page.status_code == 200
    assert "<title>Alertmanager</title>" in page.text
    # What the page asks for, which is behind the # of the address.
    (matcher,) = parse_qs(urlsplit(url).fragment.partition("?")[2])["filter"]
    name = matcher.strip("{}")
    found = requests.get(
        f"{url.partition('#')[0]}api/v2/alerts", {"filter": name}, timeout=10
    ).json()
    assert {each["labels"]["alertname"] for each in found} == {"Watchdog"}


def test_traces_are_an_answer_of_jaegers_api(notification: dict[str, Any]) -> None:
    answer = requests.get(notification["alerts"][0]["annotations"]["traces_url"], timeout=10)

    assert answer.status_code == 200
    assert answer.json()["errors"] is None


def test_the_expression_leads_to_what_prometheus_answers(notification: dict[str, Any]) -> None:
    answer = requests.get(notification["alerts"][0]["generatorURL"], timeout=10)

    assert answer.status_code == 200
    assert answer.json()["data"]["result"]


def test_the_address_of_alertmanager_answers(notification: dict[str, Any]) -> None:
    assert requests.get(notification["externalURL"], timeout=10).status_code == 200


def test_no_alert_leads_to_a_page_that_is_not_there(whole: Whole) -> None:
    rules = [
        rule
        for file in (whole.layout.folder / "config/prometheus/rules").glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]

    assert rules
    for rule in rules:
        links = rule["annotations"]
        assert alert.GRAFANA not in str(links), rule["alert"]
        assert "/search?" not in links["traces_url"], rule["alert"]
        assert Path(links["runbook_url"]).is_file(), rule["alert"]
