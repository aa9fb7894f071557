"""What all dashboards share: variables, links, annotations, and queries that come again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from monitoring.alerts.table import JOB, THRESHOLDS
from monitoring.alerts.words import bound
from monitoring.grafana.panels import PROMETHEUS, SELECTOR, graph, number, query

#: Variables beside job and instance: the series that give their values.
EXTRA = {
    "endpoint": "http_responses_total{SELECTOR}",
    "slo": 'slo:objective:ratio{job=~"$job"}',
}

#: What an annotation says; the SDK has no field for it, so it is added when the JSON is written.
ANNOTATIONS = {
    "Deploys": "{{version}} {{commit}} is there",
    "Starts": "{{instance}} was started",
    "Alerts": "{{alertname}} {{severity}}",
}
_BUILDS = "count by (version, commit) (build_info{SELECTOR}"


def board(
    uid: str,
    title: str,
    question: str,
    panels: list[Any],
    extra: Sequence[str] = (),
    *,
    jobs: str | None = JOB,
    one: str = "",
    instances: bool = True,
) -> dashboard.Dashboard:
    """A dashboard that answers ``question``; its first panel is the answer.

    ``extra`` are variables beside job and instance, of which ``one`` takes a single value. ``jobs``
    is the job at the beginning, None means all. Recorded series know no ``instances``.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags(["expense-tracker"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(
            dashboard.DashboardLink("Expense tracker")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["expense-tracker"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
    )
    chosen = SELECTOR if instances else 'job=~"$job"'
    for name, color, expression in (
        # What was not there two minutes ago: a new version, or an old one that came back.
        ("Deploys", "blue", f"{_BUILDS}) unless {_BUILDS} offset 2m)"),
        ("Starts", "purple", "changes(process_start_time_seconds{SELECTOR}[1m]) > 0"),
        ("Alerts", "red", 'ALERTS{alertstate="firing", severity=~"critical|warning"}'),
    ):
        made = made.annotation(_annotation(name, color, expression.replace("SELECTOR", chosen)))
    made = made.with_variable(
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(models.VariableOption(text="Prometheus", value="prometheus"))
    )
    made = made.with_variable(_variable("job", "up", first=jobs))
    if instances:
        made = made.with_variable(_variable("instance", 'up{job=~"$job"}'))
    for name in extra:
        made = made.with_variable(_variable(name, EXTRA[name], several=name != one))
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


def _variable(name: str, series: str, *, first: str | None = None, several: bool = True) -> Any:
    variable = (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(PROMETHEUS)
        .query(f"label_values({series.replace('SELECTOR', SELECTOR)}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    if several:
        variable = variable.multi(True).include_all(True).all_value(".+")
        text, value = (first, first) if first else ("All", "$__all")
        variable = variable.current(models.VariableOption(text=[text], value=[value]))
    return variable


#: The beginning of a selector: static files would dilute every share.
_ANSWERS = 'http_responses_total{endpoint!="static"'


def error_share(selector: str = "SELECTOR") -> Any:
    """One number: how many of the answers are 5xx."""
    limit = THRESHOLDS["HighErrorRate"].above
    return number(
        "Share of 5xx answers",
        f"Static files left out. HighErrorRate is about more than {limit:.0%}.",
        "percentunit",
        f'sum(rate({_ANSWERS}, {selector}, outcome="server_error"}}[$__rate_interval])) '
        f"/ sum(rate({_ANSWERS}, {selector}}}[$__rate_interval]))",
        warning=limit / 10,
        critical=limit,
    )


def repeated(selector: str = "SELECTOR") -> Any:
    """N+1 over time, counted as the alert counts it."""
    limit = THRESHOLDS["RepeatedQueries"]
    return graph(
        "Repeated queries (N+1)",
        f"Statement shapes that ran too often within one request, in {bound(limit.window)}. "
        f"RepeatedQueries is about more than {limit.above:g}.",
        "short",
        [
            query(
                "sum by (endpoint) "
                f"(increase(http_repeated_queries_total{{{selector}}}[{limit.window}]))",
                "{{endpoint}}",
            )
        ],
        warning=limit.above,
    )


def losses() -> Any:
    """What the service's telemetry lost over time, counted as the alerts count it."""
    limit = THRESHOLDS["TelemetrySpansDropped"]

    def lost(metric: str, by: str) -> str:
        return f"sum by ({by}) (increase({metric}{{SELECTOR}}[{limit.window}]))"

    return graph(
        "Losses of the service's telemetry",
        "Spans, log lines, observations and series that were dropped, and files that could not be "
        f"read, in {bound(limit.window)}. Alerts are about more than {limit.above:g}, of series "
        "and files about any.",
        "short",
        [
            query(lost("telemetry_spans_dropped_total", "reason"), "spans {{reason}}"),
            query(lost("telemetry_log_lines_dropped_total", "reason"), "log lines {{reason}}"),
            query(
                lost("telemetry_observations_dropped_total", "reason"), "observations {{reason}}"
            ),
            query(lost("telemetry_series_dropped_total", "metric") + " > 0", "series {{metric}}"),
            query(
                f"sum(increase(telemetry_store_unreadable_total{{SELECTOR}}[{limit.window}]))",
                "unreadable files",
            ),
        ],
        warning=limit.above,
    )


def quantile(share: float, metric: str, by: str = "", selector: str = "SELECTOR") -> str:
    labels = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({share}, "
        f"sum by ({labels}) (rate({metric}_bucket{{{selector}}}[$__rate_interval])))"
    )


def rate(metric: str, by: str, selector: str = "SELECTOR") -> str:
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"
