"""The series that a fault makes move: at rest before it, and moved when its alert has come.

Read from the scrape itself, of each instance and of Prometheus, never from a query: a series that
appears with its first failure must not have been there before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import requests
from prometheus_client.parser import text_string_to_metric_families

#: A sample's name, labels and value.
Sample = tuple[str, dict[str, str], float]


@dataclass(frozen=True)
class Series:
    """A selector over the samples of a scrape."""

    name: str
    #: Anchored regular expressions by label.
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: What the sum of an instance's samples may be before the fault.
    rest: float = 0
    #: Whose scrape it is in: ``api`` (both instances) or ``prometheus``.
    part: str = "api"

    def __str__(self) -> str:
        inside = ", ".join(f'{name}=~"{value}"' for name, value in self.labels.items())
        return f"{self.name}{{{inside}}}" if inside else self.name

    def value(self, samples: list[Sample]) -> float:
        """The sum of what it selects, 0 where there is nothing."""
        return sum(
            value
            for name, labels, value in samples
            if name == self.name
            and all(
                re.fullmatch(pattern, labels.get(label, ""))
                for label, pattern in self.labels.items()
            )
        )


def scraped(url: str, *, timeout: float = 10) -> list[Sample]:
    """Every sample that a target gives now. Raises RequestException and ValueError."""
    answer = requests.get(url, timeout=timeout)
    answer.raise_for_status()
    return [
        (sample.name, dict(sample.labels), float(sample.value))
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]


def touched(series: tuple[Series, ...], targets: Mapping[str, list[str]]) -> list[str]:
    """What is not at rest; ``targets`` are the addresses of ``/metrics`` by part."""
    found = []
    for part, urls in targets.items():
        of_part = [each for each in series if each.part == part]
        for url in urls if of_part else []:
            samples = scraped(url)
            found += [
                f"{each} is {each.value(samples):g} at {url} before the fault, not {each.rest:g}"
                for each in of_part
                if each.value(samples) > each.rest
            ]
    return found


def unmoved(series: tuple[Series, ...], targets: Mapping[str, list[str]]) -> list[str]:
    """What no target shows a change of. A target that is away is the fault itself."""
    found: dict[str, bool] = {}
    for part, urls in targets.items():
        of_part = [each for each in series if each.part == part]
        for url in urls if of_part else []:
            try:
                samples = scraped(url)
            except requests.RequestException:
                continue
            for each in of_part:
                found[str(each)] = found.get(str(each), False) or each.value(samples) > each.rest
    return [f"{name} did not move" for name, moved in found.items() if not moved]
