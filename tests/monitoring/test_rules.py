"""The alert rules, held by Prometheus' own tools and against the runbooks and the metric table."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.render import HERE, render
from monitoring.tools.build import find
from telemetry.metrics.definitions import DEFINITIONS

RULES = HERE / "prometheus/rules"
TESTS = HERE / "prometheus/tests"


def alerts() -> dict[str, dict[str, Any]]:
    rules = [
        rule
        for file in RULES.glob("*.yml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = find("promtool")
    if program is None:
        pytest.skip("not built: promtool (make tools)")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_alerts_are_those_of_the_brief() -> None:
    severities = {
        name: (rule["labels"]["severity"], rule["for"]) for name, rule in alerts().items()
    }

    assert severities == {
        "HighErrorRate": ("critical", "2m"),
        "DatabaseConnectionErrors": ("critical", "2m"),
        "APIEndpointDown": ("critical", "1m"),
        "HighResponseTime": ("warning", "5m"),
        "HighMemoryUsage": ("warning", "5m"),
    }


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_whose_it_is_and_what_to_do(name: str) -> None:
    rule = alerts()[name]

    assert set(rule["labels"]) >= {"severity", "service", "team"}
    assert set(rule["annotations"]) >= {"summary", "description", "runbook_url"}
    assert (HERE.parent / rule["annotations"]["runbook_url"]).is_file()


def test_every_runbook_belongs_to_an_alert() -> None:
    assert {file.stem for file in (HERE / "runbooks").glob("*.md")} == set(alerts())


def test_rules_use_metrics_that_exist() -> None:
    known = {definition.name for definition in DEFINITIONS} | {"up"}
    words = {
        word.removesuffix("_bucket")
        for rule in alerts().values()
        for word in re.findall(r"\b([a-z][a-z0-9_]+)\{", rule["expr"])
    }

    assert words <= known


def test_each_alert_is_seen_to_fire_and_to_stay_silent() -> None:
    outcomes: dict[str, set[bool]] = {name: set() for name in alerts()}
    for file in TESTS.glob("*.test.yml"):
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case.get("alert_rule_test", []):
                outcomes[check["alertname"]].add(bool(check["exp_alerts"]))

    assert all(seen == {True, False} for seen in outcomes.values())


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.test.yml")), ids=lambda file: file.name)
def test_the_rules_pass_their_unit_tests(file: Path) -> None:
    result = promtool("test", "rules", str(file))

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("speed", [1, 30])
def test_a_derived_configuration_is_valid(tmp_path: Path, speed: float) -> None:
    addresses = dict.fromkeys(("api", "alertmanager", "jaeger_metrics", "prometheus"), "h:1")

    render(tmp_path, **addresses, speed=speed)

    result = promtool("check", "config", str(tmp_path / "prometheus/prometheus.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_derived_configuration_keeps_everything_but_time_and_place(tmp_path: Path) -> None:
    addresses = dict.fromkeys(("api", "alertmanager", "jaeger_metrics", "prometheus"), "h:1")

    render(tmp_path, **addresses, speed=30)

    def timeless(folder: Path) -> list[Any]:
        text = (folder / "alerts.yml").read_text()
        rules = yaml.safe_load(text)["groups"][0]["rules"]
        for rule in rules:
            rule["for"] = ""
            rule["expr"] = " ".join(re.sub(r"\[\w+\]", "[]", rule["expr"]).split())
        return list(rules)

    assert timeless(tmp_path / "prometheus/rules") == timeless(RULES)


def test_a_speed_of_nothing_is_refused(tmp_path: Path) -> None:
    addresses = dict.fromkeys(("api", "alertmanager", "jaeger_metrics", "prometheus"), "h:1")

    with pytest.raises(ValueError, match="speed"):
        render(tmp_path, **addresses, speed=0)


@pytest.mark.parametrize("way", ["local", "compose", "stack-only"])
def test_the_three_ways_to_run_differ_in_their_targets_alone(way: str) -> None:
    folder = HERE / "prometheus/targets"
    configuration = (HERE / "prometheus/prometheus.yml").read_text()

    files = {file.name for file in (folder / way).iterdir()}

    assert files == set(re.findall(r"targets/(\w+\.yml)", configuration))
