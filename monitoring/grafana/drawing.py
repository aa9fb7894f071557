"""Panels as pictures: what matplotlib can say of a number, of lines, and of a heatmap."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from monitoring.grafana.source import Source

_COLORS = {"green": "#2e7d32", "yellow": "#b26a00", "red": "#c62828"}
_GREY = "#777777"
_MOST_IN_LEGEND = 8
#: Inches: the picture's width, a row of Grafana's grid, the heading, and within a panel what
#: surrounds its axes.
_WIDTH, _ROW, _HEADING = 13.0, 0.33, 0.82
_LEFT, _RIGHT, _TOP, _LEGEND = 0.75, 0.2, 0.42, 0.68
_GAP = 0.06


def human(value: float, unit: str, decimals: int | None = None) -> str:
    """A number in the unit of its panel.

    ``decimals`` are those of the panel. A value that they would round to 0 is shown as it is: 0 and
    0.02 failures are not the same.
    """
    if not math.isfinite(value):
        return "-"
    if decimals is not None and unit == "short" and (not value or round(value, decimals)):
        return f"{value:,.{decimals}f}"
    special: dict[str, Callable[[], str]] = {
        "percentunit": lambda: f"{_short(value * 100)} %",
        "s": lambda: f"{_short(value * 1000)} ms" if abs(value) < 1 else f"{_short(value)} s",
        "decbytes": lambda: f"{_short(value / 1e6)} MB",
        "dateTimeFromNow": lambda: f"{(time.time() - value / 1000) / 60:.0f} min ago",
    }
    if unit in special:
        return special[unit]()
    return _short(value) + {"reqps": " req/s", "ops": " /s"}.get(unit, "")


def _short(value: float) -> str:
    """Three digits: ``0.02``, ``12.5``, ``1.2k``, ``3.4M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    # Tiny numbers as people write them, down to where only zeros would be left.
    return f"{value:.3g}" if abs(value) >= 1e-4 or abs(value) < 1e-9 else f"{value:.9f}".rstrip("0")


def heading(board: dict[str, Any], source: Source) -> str:
    """The variables' values, and from when to when in which time zone."""
    parts = []
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            value = source.variables[f"${variable['name']}"]
            every = value == variable.get("allValue")
            parts.append(f"{variable['label']}: {'all' if every else value}")
    begin, end = (datetime.fromtimestamp(at, UTC) for at in (source.begin, source.end))
    last = f"{end:%H:%M}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    minutes = (source.end - source.begin) / 60
    parts.append(f"{begin:%Y-%m-%d %H:%M} to {last} UTC ({minutes:g} minutes)")
    return "   |   ".join(parts)


def _clock(at: float) -> str:
    """Seconds since the epoch as hours and minutes, UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M}"


def _legend(template: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        template = template.replace(f"{{{{{name}}}}}", value)
    return template


def _color_of(value: float, panel: dict[str, Any]) -> str:
    """The colour of the last threshold that the value reaches."""
    found = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = step["color"]
    return _COLORS[found]


def _number(axes: Axes, panel: dict[str, Any], source: Source) -> bool:
    axes.axis("off")
    defaults = panel["fieldConfig"]["defaults"]
    found = source.series(panel["targets"][0]["expr"])
    value = float(found[0]["values"][-1][1]) if found else math.nan
    known = math.isfinite(value)
    shown = human(value, defaults["unit"], defaults.get("decimals"))
    axes.text(
        0.5,
        0.45,
        shown if known else "no data",
        ha="center",
        va="center",
        fontsize=21 if known else 12,
        color=_color_of(value, panel) if known else _GREY,
    )
    return bool(found)


def _lines(axes: Axes, panel: dict[str, Any], source: Source) -> bool:
    defaults = panel["fieldConfig"]["defaults"]
    drawn, highest = 0, 0.0
    for target in panel["targets"]:
        for series in source.series(target["expr"]):
            moments = [float(at) for at, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            name = _legend(target["legendFormat"], series["metric"])
            label = name if drawn < _MOST_IN_LEGEND else None
            # A point alone is no line.
            marker = "." if len(values) == 1 else None
            axes.plot(moments, values, linewidth=1.3, label=label, marker=marker)
            highest = max([highest, *filter(math.isfinite, values)])
            drawn += 1
    if not drawn:
        _nothing(axes, panel)
        return False
    for target in panel["targets"]:
        if target.get("exemplar"):
            # A request that took far longer than the lines show would flatten them.
            dots = [
                (at, value)
                for at, value in source.exemplars(target["expr"])
                if value <= 2 * highest
            ]
            _dots(axes, dots)
            highest = max([highest, *(value for _, value in dots)])
    _vertical(axes, panel, highest)
    axes.set_xlim(source.begin, source.end)
    _time_axis(axes)
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: human(y, defaults["unit"])))
    _named(axes, drawn)
    return True


def _vertical(axes: Axes, panel: dict[str, Any], highest: float) -> None:
    """The axis from the panel's least value to a bit above the highest, and the thresholds."""
    defaults = panel["fieldConfig"]["defaults"]
    for step in defaults["thresholds"]["steps"]:
        # A threshold far above everything would flatten what there is.
        if step["value"] is not None and (step["value"] <= 3 * highest or not highest):
            axes.axhline(step["value"], color=_COLORS[step["color"]], linestyle="--", linewidth=0.9)
            highest = max(highest, step["value"])
    if defaults.get("min") is not None:
        top = 1.1 * highest or 1.0
        # A line of zeros is seen above the frame.
        axes.set_ylim(defaults["min"] - 0.03 * top, top)


def _heat(axes: Axes, panel: dict[str, Any], source: Source) -> bool:
    """Buckets are cumulative: each row is what its bucket has more than the one below."""
    (target,) = panel["targets"]
    found = source.series(target["expr"])
    found.sort(key=lambda series: float(series["metric"]["le"]))
    moments = sorted({at for series in found for at, _ in series["values"]})
    if len(moments) < 2:
        _nothing(axes, panel)
        return False
    place = {at: number for number, at in enumerate(moments)}
    total = np.zeros((len(found), len(moments)))
    for row, series in enumerate(found):
        for at, value in series["values"]:
            total[row, place[at]] = float(value)
    counts = np.diff(total, axis=0, prepend=0).clip(min=0)
    shown = np.ma.masked_less_equal(np.sqrt(counts), 0)
    axes.pcolormesh(moments, range(len(found)), shown, cmap="YlOrRd", shading="nearest")
    bounds = [float(series["metric"]["le"]) for series in found]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    names = [human(bound, unit) if math.isfinite(bound) else "more" for bound in bounds]
    axes.set_yticks(range(len(found)), names)
    _dots(
        axes, [(at, bisect_left(bounds, value)) for at, value in source.exemplars(target["expr"])]
    )
    axes.set_ylim(-0.5, len(found) - 0.5)
    axes.set_xlim(source.begin, source.end)
    _time_axis(axes)
    return True


def _dots(axes: Axes, places: list[tuple[float, float]]) -> None:
    """Exemplars: each is a request whose trace can be opened in Grafana."""
    if places:
        moments, heights = zip(*places, strict=True)
        axes.scatter(moments, heights, s=9, facecolors="none", edgecolors="#1f4e9e", linewidths=0.7)


def _nothing(axes: Axes, panel: dict[str, Any]) -> None:
    good = "good news" in panel["description"]
    text = "no data, which is good news here" if good else "no data"
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes, color=_GREY)
    axes.set_xticks([])
    axes.set_yticks([])


def _time_axis(axes: Axes) -> None:
    begin, end = axes.get_xlim()
    minutes = max(round((end - begin) / 60 / 5), 1)
    axes.xaxis.set_major_locator(ticker.MultipleLocator(60 * minutes))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda at, _: _clock(at)))
    # So that no tick is read as local time.
    axes.text(1, 1.02, "UTC", transform=axes.transAxes, fontsize=6, ha="right", color=_GREY)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _named(axes: Axes, drawn: int) -> None:
    if drawn > _MOST_IN_LEGEND:
        axes.plot([], [], " ", label=f"and {drawn - _MOST_IN_LEGEND} more")
    place = (-0.03, -0.1)
    axes.legend(fontsize=6.5, loc="upper left", bbox_to_anchor=place, ncols=3, frameon=False)


_DRAW: dict[str, Callable[[Axes, dict[str, Any], Source], bool]] = {
    "stat": _number,
    "timeseries": _lines,
    "heatmap": _heat,
}


def draw(board: dict[str, Any], source: Source, file: Path) -> list[str]:
    """One dashboard as a picture; titles of the panels without data."""
    panels = board["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    height = rows * _ROW + _HEADING
    figure = plt.figure(figsize=(_WIDTH, height), facecolor="#f4f5f7")
    figure.text(0.012, 1 - 0.3 / height, board["title"], fontsize=13, weight="bold")
    figure.text(0.988, 1 - 0.3 / height, board["description"], fontsize=10, ha="right")
    figure.text(0.012, 1 - 0.6 / height, heading(board, source), fontsize=9, color=_GREY)
    empty = []
    for panel in panels:
        axes = _axes(figure, panel, height)
        if not _DRAW[panel["type"]](axes, panel, source):
            empty.append(panel["title"])
    figure.savefig(file, dpi=80)
    plt.close(figure)
    return empty


def _axes(figure: Figure, panel: dict[str, Any], height: float) -> Axes:
    """A white card with the panel's title, and the axes on it."""
    at = panel["gridPos"]
    column = _WIDTH / 24
    left, width = at["x"] * column + _GAP, at["w"] * column - 2 * _GAP
    tall = at["h"] * _ROW - 2 * _GAP
    bottom = height - _HEADING - at["y"] * _ROW - tall
    figure.add_artist(
        FancyBboxPatch(
            (left / _WIDTH, bottom / height),
            width / _WIDTH,
            tall / height,
            boxstyle="square,pad=0",
            facecolor="white",
            edgecolor="#d5d8dc",
            linewidth=0.8,
            zorder=-1,
        )
    )
    figure.text((left + 0.1) / _WIDTH, (bottom + tall - 0.24) / height, panel["title"], fontsize=9)
    under = _LEGEND if panel["type"] != "stat" else 0.1
    return figure.add_axes(
        (
            (left + _LEFT) / _WIDTH,
            (bottom + under) / height,
            (width - _LEFT - (_RIGHT if panel["type"] != "stat" else _LEFT)) / _WIDTH,
            (tall - _TOP - under) / height,
        )
    )
