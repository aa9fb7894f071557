"""``make doctor`` on the whole system: nothing is wrong; then one part is away."""

from __future__ import annotations

import pytest
import requests

from testing.servers import poll
from tests.e2e.conftest import Whole
from tools.doctor.__main__ import examine
from tools.doctor.check import System
from tools.doctor.checks import CHECKS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def system(whole: Whole) -> System:
    layout = whole.layout
    return System(
        api=layout.url("API_PORT"),
        prometheus=layout.url("PROMETHEUS_SERVER_PORT"),
        alertmanager=layout.url("ALERTMANAGER_PORT"),
        jaeger=layout.url("JAEGER_QUERY_PORT"),
        layout=layout,
    )


def test_a_healthy_system_is_ok_in_every_line(whole: Whole) -> None:
    poll(lambda: "Watchdog" in whole.notified(), 30, "Watchdog was not told")
    said: list[str] = []

    failed = examine(system(whole), say=said.append)

    assert [line for line in said if not line.startswith("ok ")] == []
    assert failed == 0
    assert len(said) == len(CHECKS)


def test_nobody_is_told_of_its_test_alert(whole: Whole) -> None:
    examine(system(whole), say=lambda _line: None)

    url = whole.layout.url("ALERTMANAGER_PORT", "/api/v2/alerts")
    names = {found["labels"]["alertname"] for found in requests.get(url, timeout=10).json()}
    assert "DoctorTest" not in names
    log = whole.layout.logs / "notifications.jsonl"
    assert not log.exists() or "DoctorTest" not in log.read_text()


def test_a_jaeger_that_is_away_is_named_with_its_mend(whole: Whole) -> None:
    assert whole.system.stack is not None
    stack = whole.system.stack
    stack.end("jaeger")
    said: list[str] = []
    try:
        failed = examine(system(whole), say=said.append)
    finally:
        stack.again("jaeger")
        poll(lambda: stack.tick() or "jaeger" in stack.ready, 60, "Jaeger did not come back")

    lines = {line[8:22].strip(): line for line in said}
    assert lines["jaeger"].startswith("FAIL")
    assert "nobody listens. Mend: make status" in lines["jaeger"]
    assert lines["trace"].startswith("skipped")
    # Two of the targets are Jaeger's: its own metrics, and those of its spans.
    named = ("jaeger http", "span-metrics http")
    assert lines["targets"].startswith("ok") or any(name in lines["targets"] for name in named)
    assert lines["log line"].startswith("ok")
    assert failed >= 1
