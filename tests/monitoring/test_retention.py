"""How long samples and spans are kept is said once, and holds for every way to run."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from monitoring.alerts.table import PERIOD
from monitoring.render import HERE, render, seconds
from monitoring.tools.build import find
from testing.postgres import free_port
from testing.servers import poll
from tools.local.layout import PORTS, ROOT, Layout
from tools.local.stack import jaeger, prometheus

COMPOSE = (HERE / "docker-compose.yml", ROOT / "docker-compose.yml")


def local(folder: Path) -> list[str]:
    return prometheus(Layout(folder), Path("prometheus.yml")).command


def retention(file: Path) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(file.read_text())["storage"]["tsdb"]["retention"]
    return found


def commands() -> list[str]:
    services: list[dict[str, Any]] = [
        service
        for file in COMPOSE
        for name, service in yaml.safe_load(file.read_text())["services"].items()
        if name == "prometheus"
    ]
    return [argument for service in services for argument in service.get("command", [])]


def test_samples_are_bounded_by_time_and_by_size() -> None:
    shipped = retention(HERE / "prometheus/prometheus.yml")

    assert seconds(shipped["time"]) >= seconds(PERIOD), "error budgets are counted over it"
    assert re.fullmatch(r"\d+GB", shipped["size"])


def test_a_derived_configuration_keeps_the_retention(tmp_path: Path) -> None:
    addresses = dict.fromkeys(("api", "alertmanager", "jaeger_metrics", "prometheus"), "h:1")
    render(tmp_path, **addresses, notifications="h:1", speed=30)

    shipped = retention(HERE / "prometheus/prometheus.yml")
    assert retention(tmp_path / "prometheus/prometheus.yml") == shipped


def test_no_command_line_says_otherwise(tmp_path: Path) -> None:
    assert commands()
    assert "retention" not in " ".join([*commands(), *local(tmp_path)])


def test_series_can_be_deleted_over_loopback_alone(tmp_path: Path) -> None:
    command = local(tmp_path)

    assert "--web.enable-admin-api" in command
    assert any(argument.startswith("--web.listen-address=127.0.0.1:") for argument in command)
    assert "--web.enable-admin-api" not in commands()


def test_spans_are_forgotten_in_time() -> None:
    text = (HERE / "jaeger/config.yaml").read_text()

    spans = yaml.safe_load(text)["extensions"]["jaeger_storage"]["backends"]["traces"]["badger"]
    chosen = re.fullmatch(r"\$\{env:JAEGER_SPANS_TTL:-(\w+)\}", spans["ttl"]["spans"])
    assert chosen is not None
    assert seconds(chosen[1]) == 72 * 3600


@pytest.mark.servers
def test_a_real_jaeger_forgets_a_span_in_time(tmp_path: Path) -> None:
    if find("jaeger") is None:
        pytest.skip("not built: jaeger (make tools)")
    layout = Layout(tmp_path, {name: free_port() for name in PORTS})
    layout.make()
    part = jaeger(layout)
    part.environment["JAEGER_SPANS_TTL"] = "4s"
    trace_id = "0af7651916cd43dd8448eb211c80319c"

    def kept() -> bool:
        url = layout.url("JAEGER_QUERY_PORT", f"/api/traces/{trace_id}")
        return bool(requests.get(url, timeout=5).json().get("data"))

    part.start()
    try:
        assert part.wait_until_ready(30), part.last_words()
        url = layout.url("JAEGER_OTLP_HTTP_PORT", "/v1/traces")
        requests.post(url, json=one_span(trace_id), timeout=5).raise_for_status()

        poll(kept, 4, "it was never there")
        poll(lambda: not kept(), 20, "it is still there")
    finally:
        part.stop()


def one_span(trace_id: str) -> dict[str, Any]:
    """An OTLP request with one span that ends now."""
    now = time.time_ns()
    span = {
        "traceId": trace_id,
        "spanId": "b7ad6b7169203331",
        "name": "short",
        "kind": 2,
        "startTimeUnixNano": str(now - 10**6),
        "endTimeUnixNano": str(now),
    }
    name = {"key": "service.name", "value": {"stringValue": "tests"}}
    return {
        "resourceSpans": [
            {"resource": {"attributes": [name]}, "scopeSpans": [{"spans": [span]}]},
        ]
    }
