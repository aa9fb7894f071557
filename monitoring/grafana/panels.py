"""The few kinds of panels that the dashboards are made of."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import GraphThresholdsStyleMode, LegendDisplayMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

#: The data source that the variable on top chooses.
PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="${datasource}")

#: Every query looks at what the variables on top choose.
SELECTOR = 'job=~"$job", instance=~"$instance"'

GREEN, YELLOW, RED = "green", "yellow", "red"


def _thresholds(warning: float | None, critical: float | None) -> Any:
    steps = [models.Threshold(value=None, color=GREEN)]
    if warning is not None:
        steps.append(models.Threshold(value=warning, color=YELLOW))
    if critical is not None:
        steps.append(models.Threshold(value=critical, color=RED))
    return ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _floor(least: float) -> Any:
    steps = [models.Threshold(value=None, color=RED), models.Threshold(value=least, color=GREEN)]
    return ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def query(expression: str, legend: str, *, exemplars: bool = False) -> prometheus.Dataquery:
    """A PromQL query; ``SELECTOR`` in it stands for the chosen jobs and instances."""
    return (
        prometheus.Dataquery()
        .datasource(PROMETHEUS)
        .expr(expression.replace("SELECTOR", SELECTOR))
        .legend_format(legend)
        .exemplar(exemplars)
    )


def graph(
    title: str,
    description: str,
    unit: str,
    queries: list[prometheus.Dataquery],
    *,
    warning: float | None = None,
    critical: float | None = None,
    floor: float | None = None,
    least: float | None = 0,
) -> timeseries.Panel:
    """Lines over time; ``least`` is where the axis begins, None leaves it to the data.

    With ``floor`` it is what lies below that is wrong.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(12)
        .height(8)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))
        .thresholds(_floor(floor) if floor is not None else _thresholds(warning, critical))
    )
    if (warning, critical, floor) != (None, None, None):
        panel = panel.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    if least is not None:
        panel = panel.min(least)
    for letter, each in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(each.ref_id(letter))
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    expression: str,
    *,
    warning: float | None = None,
    critical: float | None = None,
    floor: float | None = None,
) -> stat.Panel:
    """One number; with ``floor`` it is red below it. What has no unit is a whole number."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(6)
        .height(5)
        .thresholds(_floor(floor) if floor is not None else _thresholds(warning, critical))
        .with_target(query(expression, title).ref_id("A"))
    )
    # increase() extrapolates: 41.6 of 41 errors.
    return panel.decimals(0) if unit == "short" else panel


def heat(title: str, description: str, unit: str, buckets: prometheus.Dataquery) -> heatmap.Panel:
    """A histogram's buckets over time."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .span(12)
        .height(8)
        .calculate(False)
        .thresholds(_thresholds(None, None))
        .with_target(
            buckets.format(PromQueryFormat.HEATMAP).ref_id("A"),
        )
    )
