"""Derive a runnable configuration of the stack from the shipped files, for other ports or speeds.

The shipped files are for containers and default ports. The local run, the tests and the drills
need the same rules on other ports, or sixty times as fast: this writes them, so that nobody keeps
a second copy.

    python -m monitoring.render --out DIR --api 127.0.0.1:8081 --prometheus 127.0.0.1:9091 \\
        --alertmanager 127.0.0.1:9094 --jaeger-metrics 127.0.0.1:8889 \\
        --notifications 127.0.0.1:9099 [--speed 30] [--receivers FILE]
        [--grafana URL] [--jaeger URL] [--runbooks URL]
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from monitoring.alerts import alert
from monitoring.production.configuration import lock_prometheus

HERE = Path(__file__).resolve().parent

#: Addresses in the shipped files that are put in place of one another.
_NOTIFICATIONS = "http://notifications:9099"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w)")
#: ``[5m]``, and ``[1d:5m]`` with the step of a subquery.
_RANGE = re.compile(r"\[((?:\d+(?:ms|s|m|h|d|w))+)(?::((?:\d+(?:ms|s|m|h|d|w))+))?\]")
_OFFSET = re.compile(r"\boffset ((?:\d+(?:ms|s|m|h|d|w))+)")
#: A rate needs some samples: no range becomes shorter than this many scrapes.
_SCRAPES_IN_RANGE = 4
_SHORTEST_SCRAPE = 0.5
#: The same for a job that is scraped less often than others, because that costs something.
_SHORTEST_SLOW_SCRAPE = 3.0


def seconds(duration: str) -> float:
    """``2m`` as 120.0. Raises ValueError for what is no duration of Prometheus."""
    if not re.fullmatch(r"(?:\d+(?:ms|s|m|h|d|w))+", duration):
        raise ValueError(f"not a duration: {duration!r}")
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def duration(value: float) -> str:
    return f"{max(round(value * 1000), 1)}ms"


@dataclass(frozen=True)
class Links:
    """Where the links of the alerts lead: addresses as people reach them."""

    grafana: str = alert.GRAFANA
    jaeger: str = alert.JAEGER
    runbooks: str = alert.RUNBOOKS

    def of(self, _alert_name: str, _annotation: str, text: str) -> str:
        """An annotation of an alert with these addresses."""
        return self.put(text)

    def put(self, text: str) -> str:
        for shipped, wanted in (
            (alert.GRAFANA, self.grafana),
            (alert.JAEGER, self.jaeger),
            (alert.RUNBOOKS, self.runbooks),
        ):
            text = text.replace(shipped, wanted.rstrip("/"))
        return text


@dataclass(frozen=True)
class LocalLinks(Links):
    """Where Grafana does not run, and Jaeger has been built without its page.

    Dashboards become the alert on Alertmanager's page, traces an answer of Jaeger's API.
    """

    alertmanager: str = ""

    def of(self, alert_name: str, annotation: str, text: str) -> str:
        if annotation == "dashboard_url":
            matcher = quote('{alertname="' + alert_name + '"}')
            return f"{self.alertmanager}/#/alerts?filter={matcher}"
        search, answer = f"{alert.JAEGER}/search?", f"{alert.JAEGER}/api/traces?limit=20&"
        return self.put(text.replace(search, answer))


def render(
    out: Path,
    *,
    api: str,
    alertmanager: str,
    jaeger_metrics: str,
    span_metrics: str | None = None,
    probe: str | None = None,
    prometheus: str,
    notifications: str,
    speed: float = 1.0,
    links: Links | None = None,
    receivers: Path | None = None,
    secrets: Path | None = None,
) -> None:
    """Write ``out/prometheus`` and ``out/alertmanager``.

    Addresses are ``host:port``, several of one kind separated by commas; without ``span_metrics``
    or ``probe`` nobody scrapes it. ``speed`` divides every duration: intervals, ``for``, ranges.
    ``receivers`` is a file with receivers that replace those of the same name. ``secrets`` is
    Prometheus' folder of ``make production-secrets``, for doors that are locked.
    """
    if speed <= 0:
        raise ValueError("speed must be positive")
    targets = {
        "api": api,
        "alertmanager": alertmanager,
        "jaeger": jaeger_metrics,
        "span-metrics": span_metrics,
        "probe": probe,
        "prometheus": prometheus,
    }
    folder = out / "prometheus"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "targets").mkdir(parents=True)
    for name in (file.name for file in (HERE / "prometheus/targets/local").glob("*.yml")):
        address = targets[name.removesuffix(".yml")]
        there = [{"targets": address.split(",")}] if address else []
        (folder / "targets" / name).write_text(yaml.safe_dump(there))
    configuration = _load(HERE / "prometheus/prometheus.yml")
    scrape = max(seconds(configuration["global"]["scrape_interval"]) / speed, _SHORTEST_SCRAPE)
    if speed != 1:
        intervals = {"scrape_interval", "scrape_timeout", "evaluation_interval"}
        configuration["global"] |= dict.fromkeys(intervals, duration(scrape))
        for job in configuration["scrape_configs"]:
            if "scrape_interval" in job:
                slow = max(seconds(job["scrape_interval"]) / speed, _SHORTEST_SLOW_SCRAPE)
                job |= {"scrape_interval": duration(slow), "scrape_timeout": duration(slow)}
    if secrets:
        lock_prometheus(configuration, str(secrets.resolve()))
    _write(folder / "prometheus.yml", configuration)
    write_rules(folder / "rules", speed=speed, scrape=scrape, links=links)
    _alertmanager(out / "alertmanager", speed, notifications, receivers)


def write_rules(
    folder: Path, *, speed: float = 1.0, scrape: float = 0.0, links: Links | None = None
) -> None:
    """The shipped rule files, ``speed`` times as fast with a scrape each ``scrape`` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (HERE / "prometheus/rules").glob("*.yml"):
        rules = _load(file)
        if speed != 1:
            _hurry(rules, speed, scrape)
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            if links and "annotations" in rule:
                rule["annotations"] = {
                    name: links.of(rule["alert"], name, text)
                    for name, text in rule["annotations"].items()
                }
        _write(folder / file.name, rules)


def _hurry(rules: dict[str, Any], speed: float, scrape: float) -> None:
    """Shorten ``for``, ``keep_firing_for``, intervals, ranges and offsets in place."""

    def shorter(found: re.Match[str]) -> str:
        window = duration(max(seconds(found[1]) / speed, scrape * _SCRAPES_IN_RANGE))
        return f"[{window}:{duration(seconds(found[2]) / speed)}]" if found[2] else f"[{window}]"

    def earlier(found: re.Match[str]) -> str:
        return f"offset {duration(max(seconds(found[1]) / speed, scrape))}"

    for group in rules["groups"]:
        if "interval" in group:
            group["interval"] = duration(max(seconds(group["interval"]) / speed, scrape))
        for rule in group["rules"]:
            rule["expr"] = _OFFSET.sub(earlier, _RANGE.sub(shorter, rule["expr"]))
            for name in ("for", "keep_firing_for"):
                if name in rule:
                    rule[name] = duration(seconds(rule[name]) / speed)


def _alertmanager(folder: Path, speed: float, notifications: str, receivers: Path | None) -> None:
    configuration = _load(HERE / "alertmanager/alertmanager.yml")
    if speed != 1:
        for route in _routes(configuration["route"]):
            for name in ("group_wait", "group_interval", "repeat_interval"):
                if name in route:
                    route[name] = duration(seconds(route[name]) / speed)
    if receivers:
        chosen = {receiver["name"]: receiver for receiver in _load(receivers)["receivers"]}
        known = {receiver["name"] for receiver in configuration["receivers"]}
        if unknown := sorted(chosen.keys() - known):
            raise ValueError(f"{receivers}: no route leads to {', '.join(unknown)}")
        configuration["receivers"] = [
            chosen.get(receiver["name"], receiver) for receiver in configuration["receivers"]
        ]
    for receiver in configuration["receivers"]:
        for webhook in receiver.get("webhook_configs", []):
            if "url" in webhook:
                webhook["url"] = webhook["url"].replace(_NOTIFICATIONS, f"http://{notifications}")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(HERE / "alertmanager/templates", folder / "templates", dirs_exist_ok=True)
    _write(folder / "alertmanager.yml", configuration)


def _routes(route: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield route
    for child in route.get("routes", []):
        yield from _routes(child)


def _load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False, width=200))


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive a runnable configuration of the stack.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--span-metrics", metavar="HOST:PORT")
    parser.add_argument("--probe", metavar="HOST:PORT")
    for name in ("api", "alertmanager", "jaeger-metrics", "prometheus", "notifications"):
        parser.add_argument(f"--{name}", required=True, metavar="HOST:PORT")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--receivers", type=Path)
    for field in fields(Links):
        parser.add_argument(f"--{field.name}", default=field.default, metavar="URL")
    given = vars(parser.parse_args())
    links = Links(**{field.name: given.pop(field.name) for field in fields(Links)})
    try:
        render(**given, links=links)
    except (ValueError, OSError) as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
