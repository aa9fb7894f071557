"""What alerts, dashboards and a federating Prometheus share, named ``level:metric:operations``."""

from __future__ import annotations

from typing import Any

from monitoring.alerts.counts import bucket
from monitoring.alerts.table import JOB, OBJECTIVES, PERIOD, Objective

Rule = dict[str, Any]

_SERVICE = f'job="{JOB}"'
#: Windows of the burn rates, read from the raw series, and those too long for that.
WINDOWS = ("5m", "30m", "1h", "2h")
LONG_WINDOWS = ("6h", "1d", "3d")


def groups() -> list[dict[str, Any]]:
    """The groups of ``recording.yml``. Rules of a group run one after another."""
    return [
        {"name": "service-rates", "rules": _rates()},
        *({"name": f"slo-{objective.name}", "rules": _slo(objective)} for objective in OBJECTIVES),
        # A month of samples is read for it, so it is not read every 15 seconds.
        {"name": "slo-budgets", "interval": "5m", "rules": [_remaining()]},
    ]


def _rates() -> list[Rule]:
    requests = f'http_responses_total{{{_SERVICE}, endpoint!="static"}}[5m]'
    failed = f'http_responses_total{{{_SERVICE}, endpoint!="static", outcome="server_error"}}[5m]'
    duration = f"http_request_duration_seconds_bucket{{{_SERVICE}}}[5m]"
    statements = f"database_query_duration_seconds_bucket{{{_SERVICE}}}[5m]"
    found = []
    for labels in ("job", "job, instance", "job, endpoint"):
        level = labels.replace(", ", "_")
        found += [
            record(f"{level}:http_requests:rate5m", f"sum by ({labels}) (rate({requests}))"),
            record(
                f"{level}:http_requests_failed:rate5m",
                f"sum by ({labels}) (rate({failed}))",
            ),
        ]
    return [
        *found,
        record(
            "job_le:http_request_duration_seconds:rate5m", f"sum by (job, le) (rate({duration}))"
        ),
        record(
            "job_le:database_query_duration_seconds:rate5m",
            f"sum by (job, le) (rate({statements}))",
        ),
        record(
            "job:database_queries:rate5m",
            f"sum by (job) (rate(database_queries_total{{{_SERVICE}}}[5m]))",
        ),
    ]


def _slo(objective: Objective) -> list[Rule]:
    """For each promise: events and errors in each window, and the share of errors in them."""
    every = f'{_SERVICE}, endpoint=~"{objective.endpoints}"'
    timed = f'{every}, endpoint!~"{objective.not_timed}"'
    return [
        *_promise(
            {"slo": objective.name, "sli": "availability"},
            objective.availability,
            f"http_responses_total{{{every}}}",
            f'http_responses_total{{{every}, outcome="server_error"}}',
        ),
        *_promise(
            {"slo": objective.name, "sli": "latency"},
            objective.latency,
            f"http_request_duration_seconds_count{{{timed}}}",
            f"http_request_duration_seconds_bucket{{{timed}, {bucket(objective.seconds)}}}",
        ),
    ]


def _promise(labels: dict[str, str], share: float, events: str, counted: str) -> list[Rule]:
    """``counted``: the bad events, or for latency the good ones."""
    this = f'{{slo="{labels["slo"]}", sli="{labels["sli"]}"}}'
    rules = [record("slo:objective:ratio", f"vector({share})", labels | {"job": JOB})]
    for window in (*WINDOWS, *LONG_WINDOWS):
        if window in LONG_WINDOWS:
            # Added up from what is recorded, five minutes after five minutes: three days of raw
            # series would be too many samples to read every 15 seconds.
            total, bad = (
                f"sum_over_time(slo:sli_{kind}:increase5m{this}[{window}:5m])"
                for kind in ("events", "errors")
            )
        else:
            total = f"sum by (job) (increase({events}[{window}]))"
            found = f"sum by (job) (increase({counted}[{window}]))"
            latency = labels["sli"] == "latency"
            bad = f"{total} - {found}" if latency else found
        rules += [
            record(f"slo:sli_events:increase{window}", total, labels),
            record(f"slo:sli_errors:increase{window}", bad, labels),
            record(
                f"slo:sli_error:ratio{window}",
                f"slo:sli_errors:increase{window}{this} / "
                f"(slo:sli_events:increase{window}{this} > 0)",
                labels,
            ),
        ]
    return rules


def _remaining() -> Rule:
    bad, total = (
        f"sum_over_time(slo:sli_{kind}:increase5m[{PERIOD}])" for kind in ("errors", "events")
    )
    return record(
        "slo:error_budget_remaining:ratio",
        f"1 - ({bad} / ({total} > 0)) / (1 - slo:objective:ratio)",
    )


def record(name: str, expression: str, labels: dict[str, str] | None = None) -> Rule:
    rule: Rule = {"record": name, "expr": expression}
    if labels:
        rule["labels"] = labels
    return rule
