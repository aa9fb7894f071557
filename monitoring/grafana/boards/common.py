"""What all dashboards share: variables, links, annotations, and queries that come again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from monitoring.alerts.table import JOB, THRESHOLDS
from monitoring.grafana.panels import PROMETHEUS, number

#: Variables beside job and instance: name, and the series and label that give its values.
EXTRA = {
    "endpoint": 'http_requests_total{job="$job"}',
    "slo": 'slo:objective:ratio{job="$job"}',
}

#: What an annotation says; the SDK has no field for it, so it is added when the JSON is written.
ANNOTATIONS = {"Deploys": "{{instance}} was started anew", "Alerts": "{{alertname}} {{severity}}"}


def board(
    uid: str, title: str, question: str, panels: list[Any], extra: Sequence[str] = ()
) -> dashboard.Dashboard:
    """A dashboard that answers ``question``; its first panel is the answer."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags(["expense-tracker"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .link(
            dashboard.DashboardLink("Expense tracker")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["expense-tracker"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
        .annotation(
            _annotation(
                "Deploys",
                "blue",
                'changes(process_start_time_seconds{job="$job", instance=~"$instance"}[1m]) > 0',
            )
        )
        .annotation(
            _annotation(
                "Alerts",
                "red",
                'ALERTS{alertstate="firing", severity=~"critical|warning"}',
            )
        )
        .with_variable(_variable("job", "up", JOB, multi=False))
        .with_variable(_variable("instance", 'up{job="$job"}', None, multi=True))
    )
    for name in extra:
        made = made.with_variable(_variable(name, EXTRA[name], None, multi=True))
    for panel in panels:
        made = made.with_panel(panel)
    return made


def _annotation(name: str, color: str, expression: str) -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(color)
        .expr(expression)
    )


def _variable(name: str, series: str, first: str | None, *, multi: bool) -> Any:
    variable = (
        dashboard.QueryVariable(name)
        .label(name)
        .datasource(PROMETHEUS)
        .query(f"label_values({series}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    if multi:
        return variable.multi(True).include_all(True)
    return variable.current(models.VariableOption(text=first or "", value=first or ""))


def error_share() -> Any:
    return number(
        "Share of 5xx answers",
        f"HighErrorRate is about more than {THRESHOLDS['HighErrorRate'].above:.0%}.",
        "percentunit",
        'sum(rate(http_requests_total{SELECTOR, status=~"5.."}[$__rate_interval])) '
        "/ sum(rate(http_requests_total{SELECTOR}[$__rate_interval]))",
        warning=0.01,
        critical=THRESHOLDS["HighErrorRate"].above,
    )


def quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({share}, "
        f"sum by ({labels}) (rate({metric}_bucket{{SELECTOR}}[$__rate_interval])))"
    )


def rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{SELECTOR}}[$__rate_interval]))"
