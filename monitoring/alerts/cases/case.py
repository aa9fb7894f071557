"""A case for promtool: what is scraped, and when an alert must fire, end, or stay silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitoring.alerts.alert import GRAFANA, JAEGER
from monitoring.alerts.causes import CAUSES
from monitoring.alerts.table import JOB
from monitoring.render import seconds

#: Annotations of which a case tells the end alone.
_PREFIXES = {
    "dashboard_url": f"{GRAFANA}/d/",
    "traces_url": f"{JAEGER}/search?lookback=1h&service={JOB}",
}


@dataclass(frozen=True)
class Case:
    """One test of one alert. Times are durations since the first sample."""

    alert: str
    title: str
    #: Series and their samples in promtool's notation, one each ``interval``.
    series: dict[str, str]
    #: Fires at this evaluation, and is silent at the one before.
    starts: str = ""
    #: Silent at this evaluation, and fires at the one before.
    ends: str = ""
    #: Fires at no evaluation until then.
    silent: str = ""
    #: Labels of the alert at ``starts``, beside those of its rule.
    labels: dict[str, str] = field(default_factory=dict)
    #: Annotations at ``starts`` that hold a template; links without their beginning.
    says: dict[str, str] = field(default_factory=dict)
    #: Expressions and the value (or None) that each has at the last of these times.
    values: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    interval: str = "15s"

    def test(self, rule: dict[str, Any], step: float) -> dict[str, Any]:
        """The test as promtool reads it. ``step`` is the seconds between two evaluations."""
        given = self._up() | self.series
        found: dict[str, Any] = {
            "name": f"{self.alert}: {self.title}",
            "interval": self.interval,
            "input_series": [{"series": k, "values": v} for k, v in given.items()],
        }
        firing = f'count(ALERTS{{alertname="{self.alert}", alertstate="firing"}})'
        checks = []
        if self.starts:
            start = seconds(self.starts)
            before = [_check(firing, start - step, None)] if start else []
            checks += [*before, _check(firing, start, 1)]
            if self.says or self.labels:
                found["alert_rule_test"] = [self._expected(rule, start)]
        if self.ends:
            end = seconds(self.ends)
            checks += [_check(firing, end - step, 1), _check(firing, end, None)]
        if self.silent:
            ever = f"count_over_time({firing}[{self.silent}:{step:g}s])"
            checks.append(_check(ever, seconds(self.silent), None))
        checks += [_check(text, seconds(at), value) for text, (at, value) in self.values.items()]
        found["promql_expr_test"] = checks
        return found

    def _up(self) -> dict[str, str]:
        """The service is up where the case does not speak of it: else that explains the alert."""
        spoken = any(name.startswith("up{") and f'"{JOB}"' in name for name in self.series)
        return {} if spoken or self.alert not in CAUSES else {series("up"): "1x2000"}

    def _expected(self, rule: dict[str, Any], start: float) -> dict[str, Any]:
        # What holds no template is as it stands; what does must be written down in the case.
        said = {k: v for k, v in rule["annotations"].items() if "{{" not in v}
        said |= {name: _PREFIXES.get(name, "") + text for name, text in self.says.items()}
        if missing := rule["annotations"].keys() - said.keys():
            raise ValueError(f"{self.alert}, {self.title}: says nothing of {sorted(missing)}")
        alert = {"exp_labels": rule["labels"] | self.labels, "exp_annotations": said}
        return {"eval_time": _time(start), "alertname": self.alert, "exp_alerts": [alert]}


def _check(expression: str, at: float, value: float | None) -> dict[str, Any]:
    samples = [] if value is None else [{"labels": "{}", "value": value}]
    return {"expr": expression, "eval_time": _time(at), "exp_samples": samples}


def _time(value: float) -> str:
    minutes, rest = divmod(round(value), 60)
    return (f"{minutes}m" if minutes else "") + (f"{rest}s" if rest or not minutes else "")


def series(metric: str, /, *, job: str = JOB, instance: str = "a", **labels: str) -> str:
    given = {"job": job, "instance": instance, **labels}
    return metric + "{" + ", ".join(f'{name}="{value}"' for name, value in given.items()) + "}"


def counter(*phases: tuple[float, int], start: float = 0) -> str:
    """From ``start`` on: in each phase so much more at each sample, for so many samples."""
    text, total = [f"{start:.12g}"], start
    for more, times in phases:
        text.append(f"{total + more:.12g}+{more:.12g}x{times - 1}")
        total += more * times
    return " ".join(text)


def gauge(*phases: tuple[float, int]) -> str:
    """In each phase this value for so many samples."""
    return " ".join(f"{value:.0f}x{times - 1}" for value, times in phases)


def histogram(
    metric: str, buckets: Mapping[str, Sequence[tuple[float, int]]], **labels: str
) -> dict[str, str]:
    """A histogram's series. ``buckets``: by upper bound the phases of what falls into it alone."""
    found: dict[str, str] = {}
    total = [(0.0, times) for _, times in next(iter(buckets.values()))]
    for bound, phases in buckets.items():
        total = [(a + b, times) for (a, times), (b, _) in zip(total, phases, strict=True)]
        found[series(f"{metric}_bucket", **labels, le=bound)] = counter(*total)
    found[series(f"{metric}_bucket", **labels, le="+Inf")] = counter(*total)
    found[series(f"{metric}_count", **labels)] = counter(*total)
    return found
