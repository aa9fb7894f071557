"""Measured curves: kept as JSON, shown as tables, drawn as one picture."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

Points = dict[float, float]


@dataclass(frozen=True)
class Curve:
    title: str
    #: Names of the axes.
    knob: str
    unit: str
    points: Points
    #: Of the values, behind the point.
    digits: int = 0
    #: Where and when it was measured.
    machine: str = ""


def load(file: Path) -> dict[str, Curve]:
    """What ``save`` wrote, by name; nothing where there is no file."""
    if not file.exists():
        return {}
    found = {}
    for name, content in json.loads(file.read_text()).items():
        points = {float(key): value for key, value in content.pop("points").items()}
        found[name] = Curve(**content, points=points)
    return found


def save(curves: dict[str, Curve], file: Path) -> None:
    content = {name: asdict(curve) for name, curve in curves.items()}
    file.write_text(json.dumps(content, indent=1) + "\n")


def table(curve: Curve) -> str:
    heads = " | ".join(f"{key:g}" for key in curve.points)
    values = " | ".join(f"{value:.{curve.digits}f}" for value in curve.points.values())
    ruler = "|---" * (len(curve.points) + 1)
    return f"| {curve.knob} | {heads} |\n{ruler}|\n| {curve.title}, {curve.unit} | {values} |"


def draw(curves: list[Curve], file: Path) -> None:
    figure, places = plt.subplots(2, 4, figsize=(13, 5.6), layout="constrained")
    for curve, place in zip(curves, places.flat, strict=False):
        keys, values = list(curve.points), list(curve.points.values())
        place.plot(keys, values, marker="o", color="#1f4e9e")
        place.set_title(curve.title, fontsize=9)
        place.set_xlabel(curve.knob, fontsize=8)
        place.set_ylabel(curve.unit, fontsize=8)
        place.set_ylim(0, 1.15 * max(values) or 1)
        if min(keys) > 0 and max(keys) / min(keys) > 6 and curve.knob.isupper():
            place.set_xscale("log", base=2)
            place.set_xticks(keys, [f"{key:g}" for key in keys])
            place.minorticks_off()
        place.tick_params(labelsize=7)
        place.grid(alpha=0.3)
    for place in places.flat[len(curves) :]:
        place.axis("off")
    machines = sorted({curve.machine for curve in curves})
    places.flat[-1].text(
        0.5, 0.5, "\n".join(machines).replace(", ", "\n"), ha="center", va="center", fontsize=9
    )
    figure.savefig(file, dpi=80)
    plt.close(figure)
