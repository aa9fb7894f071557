"""Derive a runnable configuration of the stack from the shipped files, for other ports or speeds.

The shipped files are for containers and default ports. The local run, the tests and the drills
need the same rules on other ports, or sixty times as fast: this writes them, so that nobody keeps
a second copy.

    python -m monitoring.render --out DIR --api 127.0.0.1:8081 --prometheus 127.0.0.1:9091 \\
        --alertmanager 127.0.0.1:9094 --jaeger-metrics 127.0.0.1:8889 [--speed 30] [--webhook URL]
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")
_RANGE = re.compile(r"\[((?:\d+(?:ms|s|m|h|d|w))+)\]")
#: A rate needs some samples: no range becomes shorter than this many scrapes.
_SCRAPES_IN_RANGE = 4
_SHORTEST_SCRAPE = 0.5


def seconds(duration: str) -> float:
    """``2m`` as 120.0. Raises ValueError for what is no duration of Prometheus."""
    if not re.fullmatch(r"(?:\d+(?:ms|s|m|h|d|w))+", duration):
        raise ValueError(f"not a duration: {duration!r}")
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def duration(value: float) -> str:
    return f"{max(round(value * 1000), 1)}ms"


def render(
    out: Path,
    *,
    api: str,
    alertmanager: str,
    jaeger_metrics: str,
    prometheus: str,
    speed: float = 1.0,
    webhook: str | None = None,
) -> None:
    """Write ``out/prometheus`` and ``out/alertmanager``.

    Addresses are ``host:port``. ``speed`` divides every duration: intervals, ``for``, ranges.
    ``webhook`` is an address that gets all notifications.
    """
    if speed <= 0:
        raise ValueError("speed must be positive")
    targets = {
        "api": api,
        "alertmanager": alertmanager,
        "jaeger": jaeger_metrics,
        "prometheus": prometheus,
    }
    folder = out / "prometheus"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "targets").mkdir(parents=True)
    (folder / "rules").mkdir()
    for name in (file.name for file in (HERE / "prometheus/targets/local").glob("*.yml")):
        address = targets[name.removesuffix(".yml")]
        (folder / "targets" / name).write_text(yaml.safe_dump([{"targets": [address]}]))
    configuration = _load(HERE / "prometheus/prometheus.yml")
    scrape = max(seconds(configuration["global"]["scrape_interval"]) / speed, _SHORTEST_SCRAPE)
    if speed != 1:
        configuration["global"] = {name: duration(scrape) for name in configuration["global"]}
    _write(folder / "prometheus.yml", configuration)
    for file in (HERE / "prometheus/rules").glob("*.yml"):
        rules = _load(file)
        if speed != 1:
            _hurry(rules, speed, scrape)
        _write(folder / "rules" / file.name, rules)
    _alertmanager(out / "alertmanager", speed, webhook)


def _hurry(rules: dict[str, Any], speed: float, scrape: float) -> None:
    """Shorten ``for``, ``keep_firing_for``, intervals and ranges in place."""

    def shorter(found: re.Match[str]) -> str:
        return f"[{duration(max(seconds(found[1]) / speed, scrape * _SCRAPES_IN_RANGE))}]"

    for group in rules["groups"]:
        if "interval" in group:
            group["interval"] = duration(max(seconds(group["interval"]) / speed, scrape))
        for rule in group["rules"]:
            rule["expr"] = _RANGE.sub(shorter, rule["expr"])
            for name in ("for", "keep_firing_for"):
                if name in rule:
                    rule[name] = duration(seconds(rule[name]) / speed)


def _alertmanager(folder: Path, speed: float, webhook: str | None) -> None:
    configuration = _load(HERE / "alertmanager/alertmanager.yml")
    if speed != 1:
        routes = [configuration["route"], *configuration["route"].get("routes", [])]
        for route in routes:
            for name in ("group_wait", "group_interval", "repeat_interval"):
                if name in route:
                    route[name] = duration(seconds(route[name]) / speed)
    if webhook:
        for receiver in configuration["receivers"]:
            receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "alertmanager.yml", configuration)


def _load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=200))


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive a runnable configuration of the stack.")
    parser.add_argument("--out", type=Path, required=True)
    for name in ("api", "alertmanager", "jaeger-metrics", "prometheus"):
        parser.add_argument(f"--{name}", required=True, metavar="HOST:PORT")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--webhook")
    render(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
