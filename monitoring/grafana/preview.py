"""``make dashboards-preview``: draw every panel from a live Prometheus, for people without Grafana.

    python -m monitoring.grafana.preview [--prometheus URL] [--out FOLDER] [--minutes 15]

Writes a picture for each dashboard and one page with all of them. Queries, units, legends and
thresholds are those of the dashboards; Grafana's own look is Grafana's.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import requests
from matplotlib import ticker
from matplotlib.axes import Axes

from monitoring.grafana.generate import FOLDER

_COLORS = {"green": "#2e7d32", "yellow": "#b26a00", "red": "#c62828"}
_POINTS = 240
_MOST_IN_LEGEND = 8


@dataclass
class Source:
    """A Prometheus and the stretch of time to draw."""

    url: str
    begin: float
    end: float
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def step(self) -> float:
        return max((self.end - self.begin) / _POINTS, 1)

    def filled(self, query: str) -> str:
        interval = f"{max(int(self.step * 4), 60)}s"
        for name, value in {**self.variables, "$__rate_interval": interval}.items():
            query = query.replace(name, value)
        return query

    def series(self, query: str) -> list[dict[str, Any]]:
        """A range query. Raises RuntimeError with Prometheus' own words."""
        asked = {
            "query": self.filled(query),
            "start": f"{self.begin:.0f}",
            "end": f"{self.end:.0f}",
            "step": f"{self.step:.0f}",
        }
        answer = requests.get(f"{self.url}/api/v1/query_range", params=asked, timeout=30)
        content = answer.json()
        if answer.status_code != 200:
            raise RuntimeError(f"{content.get('error', answer.status_code)}: {asked['query']}")
        found: list[dict[str, Any]] = content["data"]["result"]
        return found


def human(value: float, unit: str) -> str:
    """A number in the unit of its panel."""
    if not math.isfinite(value):
        return "-"
    special: dict[str, Callable[[], str]] = {
        "percentunit": lambda: f"{value:.1%}",
        "s": lambda: f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s",
        "bytes": lambda: f"{value / 1e6:.3g} MB",
        "dateTimeFromNow": lambda: f"{(time.time() - value / 1000) / 60:.0f} min ago",
    }
    if unit in special:
        return special[unit]()
    suffix = {"reqps": " req/s", "ops": " /s"}.get(unit, "")
    return f"{value / 1000:.3g}k{suffix}" if abs(value) >= 1000 else f"{value:.3g}{suffix}"


def clock(at: float) -> str:
    """Seconds since the epoch as hours and minutes, UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M}"


def legend(template: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        template = template.replace(f"{{{{{name}}}}}", value)
    return template


def color_of(value: float, panel: dict[str, Any]) -> str:
    """The colour of the last threshold that the value reaches."""
    found = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = step["color"]
    return _COLORS[found]


def draw_number(axes: Axes, panel: dict[str, Any], source: Source) -> bool:
    axes.axis("off")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    found = source.series(panel["targets"][0]["expr"])
    value = float(found[0]["values"][-1][1]) if found else math.nan
    shown = human(value, unit) if found else "no data"
    color = color_of(value, panel) if found and math.isfinite(value) else "#777777"
    axes.text(0.5, 0.45, shown, ha="center", va="center", fontsize=20, color=color)
    return bool(found)


def draw_lines(axes: Axes, panel: dict[str, Any], source: Source) -> bool:
    defaults = panel["fieldConfig"]["defaults"]
    unit, drawn = defaults["unit"], 0
    for target in panel["targets"]:
        for series in source.series(target["expr"]):
            moments = [float(at) for at, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            name = legend(target["legendFormat"], series["metric"])
            axes.plot(
                moments, values, linewidth=1.2, label=name if drawn < _MOST_IN_LEGEND else None
            )
            drawn += 1
    if not drawn:
        _nothing(axes)
        return False
    top = axes.get_ylim()[1]
    for step in defaults["thresholds"]["steps"]:
        # A threshold far above everything would flatten what there is.
        if step["value"] is not None and step["value"] <= 2 * top:
            axes.axhline(step["value"], color=_COLORS[step["color"]], linestyle="--", linewidth=0.8)
    if defaults.get("min") is not None:
        axes.set_ylim(bottom=defaults["min"])
    axes.legend(fontsize=6, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=3, frameon=False)
    _time_axis(axes, unit)
    return True


def draw_heat(axes: Axes, panel: dict[str, Any], source: Source) -> bool:
    """Buckets are cumulative: each row is what its bucket has more than the one below."""
    found = source.series(panel["targets"][0]["expr"])
    found.sort(key=lambda series: float(series["metric"]["le"]))
    moments = sorted({at for series in found for at, _ in series["values"]})
    if not found:
        _nothing(axes)
        return False
    place = {at: number for number, at in enumerate(moments)}
    total = np.zeros((len(found), len(moments)))
    for row, series in enumerate(found):
        for at, value in series["values"]:
            total[row, place[at]] = float(value)
    counts = np.diff(total, axis=0, prepend=0).clip(min=0)
    axes.imshow(np.sqrt(counts), aspect="auto", origin="lower", cmap="YlOrRd")
    axes.set_yticks(range(len(found)), [human(float(s["metric"]["le"]), "s") for s in found])
    ticks = range(0, len(moments), max(len(moments) // 5, 1))
    labels = [clock(moments[tick]) for tick in ticks]
    axes.set_xticks(list(ticks), labels)
    axes.tick_params(labelsize=6)
    return True


def _nothing(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes, color="#777777")
    axes.set_xticks([])
    axes.set_yticks([])


def _time_axis(axes: Axes, unit: str) -> None:
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: human(value, unit)))
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda at, _: clock(at)))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)


_DRAW: dict[str, Callable[[Axes, dict[str, Any], Source], bool]] = {
    "stat": draw_number,
    "timeseries": draw_lines,
    "heatmap": draw_heat,
}


def draw(board: dict[str, Any], source: Source, file: Path) -> list[str]:
    """One dashboard as a picture; titles of the panels without data."""
    panels = board["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(13, rows * 0.36 + 0.7), facecolor="white")
    grid = figure.add_gridspec(
        rows, 24, left=0.04, right=0.99, top=1 - 0.8 / (rows * 0.36 + 0.7), bottom=0.03
    )
    figure.suptitle(f"{board['title']}: {board['description']}", fontsize=10, x=0.04, ha="left")
    empty = []
    for panel in panels:
        at = panel["gridPos"]
        axes = figure.add_subplot(
            grid[at["y"] : at["y"] + at["h"] - 3, at["x"] + 1 : at["x"] + at["w"]]
        )
        axes.set_title(panel["title"], fontsize=8, loc="left")
        if not _DRAW[panel["type"]](axes, panel, source):
            empty.append(panel["title"])
    figure.savefig(file, dpi=80)
    plt.close(figure)
    return empty


def page(boards: list[dict[str, Any]], out: Path, source: Source) -> None:
    """All pictures on one page."""
    parts = [
        "<!doctype html><meta charset=utf-8><title>Dashboards</title>",
        "<body style='font: 15px sans-serif; max-width: 1080px; margin: 2em auto'>",
        f"<p>Drawn {datetime.now(UTC):%Y-%m-%d %H:%M} UTC from {escape(source.url)}.</p>",
    ]
    for board in boards:
        name = board["uid"]
        parts += [
            f"<h2 id='{name}'>{escape(board['title'])}</h2><p>{escape(board['description'])}</p>",
            f"<img src='{name}.png' style='max-width: 100%' alt='{escape(board['title'])}'>",
        ]
    (out / "index.html").write_text("\n".join(parts) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw the dashboards from a live Prometheus.")
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--out", type=Path, default=Path(".local/dashboards"))
    parser.add_argument("--minutes", type=float, default=15)
    arguments = parser.parse_args()
    now = time.time()
    variables = {
        "$job": "expense-tracker-api",
        "$instance": ".*",
        "$endpoint": "/api/v1/expenses/",
        "$slo": ".*",
    }
    url = arguments.prometheus.rstrip("/")
    source = Source(url, now - arguments.minutes * 60, now, variables)
    arguments.out.mkdir(parents=True, exist_ok=True)
    boards = [json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))]
    try:
        for board in boards:
            empty = draw(board, source, arguments.out / f"{board['uid']}.png")
            print(f"{board['uid']}.png" + (f", without data: {', '.join(empty)}" if empty else ""))
    except (requests.RequestException, RuntimeError, ValueError) as error:
        print(f"Prometheus at {url} could not be asked (make up starts one): {error}")
        return 1
    page(boards, arguments.out, source)
    print(f"all on one page: {arguments.out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
