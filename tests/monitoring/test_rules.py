"""The alert rules, held by Prometheus' own tools and against the runbooks and the metric table."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from expenses import metrics as expenses_metrics
from monitoring.alerts.generate import CASES, committed, generated
from monitoring.alerts.table import OBJECTIVES, THRESHOLDS
from monitoring.render import HERE, render
from monitoring.tools.build import find
from telemetry.metrics.definitions import (
    DATABASE_QUERY_DURATION,
    DEFINITIONS,
    HTTP_CLIENT_REQUEST_DURATION,
    HTTP_REQUEST_DURATION,
)
from telemetry.metrics.metric import HistogramMetric
from tests.monitoring.promql import metrics

RULES = HERE / "prometheus/rules"
TESTS = HERE / "prometheus/tests"


BRIEF = {
    *("HighErrorRate", "DatabaseConnectionErrors", "APIEndpointDown"),
    *("HighResponseTime", "HighMemoryUsage"),
}
#: Metrics of Prometheus, Alertmanager and Jaeger themselves that rules ask for.
STACK_METRICS = {
    "ALERTS",
    "probe_success",
    "up",
    "alertmanager_config_last_reload_successful",
    "alertmanager_notifications_failed_total",
    "jaeger_storage_badger_value_log_bytes_available",
    "otelcol_exporter_send_failed_spans_total",
    "otelcol_receiver_failed_spans_total",
    "otelcol_receiver_refused_spans_total",
    "prometheus_config_last_reload_successful",
    "prometheus_notifications_dropped_total",
    "prometheus_notifications_errors_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_iterations_missed_total",
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_tsdb_compactions_failed_total",
    "prometheus_tsdb_head_truncations_failed_total",
    "prometheus_tsdb_wal_corruptions_total",
    "prometheus_tsdb_wal_writes_failed_total",
}


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for file in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = find("promtool")
    if program is None:
        pytest.skip("not built: promtool (make tools)")
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=180, check=False
    )


def test_the_alerts_of_the_brief_are_there() -> None:
    found = alerts()

    assert {name: (found[name]["labels"]["severity"], found[name]["for"]) for name in BRIEF} == {
        "HighErrorRate": ("critical", "2m"),
        "DatabaseConnectionErrors": ("critical", "2m"),
        "APIEndpointDown": ("critical", "1m"),
        "HighResponseTime": ("warning", "5m"),
        "HighMemoryUsage": ("warning", "5m"),
    }


def test_what_is_committed_is_what_the_code_says() -> None:
    assert committed() == generated()


def test_every_alert_has_its_line_in_the_table_of_thresholds() -> None:
    assert set(THRESHOLDS) == set(alerts())


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_whose_it_is_and_what_to_do(name: str) -> None:
    rule = alerts()[name]

    assert set(rule["labels"]) == {"severity", "service", "team"}
    assert set(rule["annotations"]) == {
        *("summary", "description", "runbook_url", "dashboard_url", "traces_url")
    }
    assert rule["annotations"]["runbook_url"] == f"monitoring/runbooks/{name}.md"


def known_metrics() -> set[str]:
    own = {definition.name for definition in DEFINITIONS}
    return own | business_metrics() | set(recorded()) | STACK_METRICS


def business_metrics() -> set[str]:
    """Names of the product's metrics, as a scrape shows them."""
    made = [each for each in vars(expenses_metrics).values() if isinstance(each, MetricWrapperBase)]
    families = [family for each in made for family in each.collect()]
    return {f"{each.name}_total" if each.type == "counter" else each.name for each in families}


def recorded() -> dict[str, str]:
    """The expressions behind the series that rules record."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def test_a_recorded_series_is_named_by_level_metric_and_operations() -> None:
    names = [rule["record"] for rule in rules() if "record" in rule]

    assert [name for name in names if not re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", name)] == []


def test_rules_use_metrics_that_exist() -> None:
    expressions = [rule["expr"] for rule in rules()]

    assert {name for text in expressions for name in metrics(text)} <= known_metrics()


@pytest.mark.parametrize(
    ("alert", "histogram"),
    [
        ("HighResponseTime", HTTP_REQUEST_DURATION),
        ("EndpointSlow", HTTP_REQUEST_DURATION),
        ("SlowDatabase", DATABASE_QUERY_DURATION),
        ("UpstreamSlow", HTTP_CLIENT_REQUEST_DURATION),
    ],
)
def test_a_threshold_of_durations_is_a_bound_of_its_buckets(
    alert: str, histogram: HistogramMetric
) -> None:
    assert THRESHOLDS[alert].above in histogram.buckets


def test_an_objective_is_timed_at_a_bound_of_the_buckets() -> None:
    for objective in OBJECTIVES:
        assert objective.seconds in HTTP_REQUEST_DURATION.buckets, objective.name


@pytest.mark.parametrize("name", sorted(THRESHOLDS))
def test_each_alert_is_seen_to_fire_to_stay_silent_and_to_end(name: str) -> None:
    cases = [case for _, _, cases in CASES.values() for case in cases if case.alert == name]

    assert any(case.starts for case in cases)
    assert any(case.says for case in cases) or name == "Watchdog"
    # Watchdog's meaning is that it always fires.
    assert any(case.silent for case in cases) or name == "Watchdog"
    assert any(case.ends for case in cases) or name == "Watchdog"


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.test.yml")), ids=lambda file: file.name)
def test_the_rules_pass_their_unit_tests(file: Path) -> None:
    result = promtool("test", "rules", str(file))

    assert result.returncode == 0, result.stdout + result.stderr


def derived(folder: Path, speed: float) -> Path:
    parts = ("api", "alertmanager", "jaeger_metrics", "prometheus", "notifications")
    render(folder, **dict.fromkeys(parts, "h:1"), speed=speed)
    return folder / "prometheus"


@pytest.mark.parametrize("speed", [1, 30])
def test_a_derived_configuration_is_valid(tmp_path: Path, speed: float) -> None:
    folder = derived(tmp_path, speed)

    result = promtool("check", "config", str(folder / "prometheus.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_derived_configuration_keeps_everything_but_time_and_place(tmp_path: Path) -> None:
    folder = derived(tmp_path, 30)

    def timeless(rules: Path) -> dict[str, Any]:
        files = {file.name: yaml.safe_load(file.read_text()) for file in rules.glob("*.yml")}
        for group in (group for content in files.values() for group in content["groups"]):
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.pop("for", None)
                rule["expr"] = re.sub(r"\[[\w:]+\]|offset \w+", "[]", rule["expr"])
        return files

    assert timeless(folder / "rules") == timeless(RULES)


def test_a_derived_configuration_is_as_much_faster_as_asked(tmp_path: Path) -> None:
    folder = derived(tmp_path, 30)

    found = {
        rule["alert"]: rule
        for group in yaml.safe_load((folder / "rules/service.yml").read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    assert found["HighResponseTime"]["for"] == "10000ms"
    assert "[10000ms]" in found["HighResponseTime"]["expr"]
    assert "offset 20000ms" in found["EndpointFailing"]["expr"]


def test_a_speed_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="speed"):
        derived(tmp_path, 0)


@pytest.mark.parametrize("way", ["local", "compose", "stack-only", "replicas"])
def test_the_ways_to_run_differ_in_their_targets_alone(way: str) -> None:
    folder = HERE / "prometheus/targets"
    configuration = (HERE / "prometheus/prometheus.yml").read_text()

    files = {file.name for file in (folder / way).iterdir()}

    assert files == set(re.findall(r"targets/([\w-]+\.yml)", configuration))
