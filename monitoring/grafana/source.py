"""The Prometheus that panels are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import requests

_POINTS = 240
#: Exemplars shown at most: all of them would hide the lines.
_DOTS = 60


@dataclass
class Source:
    """A Prometheus, the stretch of time to draw, and what the variables stand for."""

    url: str
    #: Seconds since the epoch.
    begin: float
    end: float
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def step(self) -> float:
        return max((self.end - self.begin) / _POINTS, 1)

    def filled(self, query: str) -> str:
        """A panel's query with values in place of its variables."""
        interval = f"{max(int(self.step * 4), 60)}s"
        for name, value in {**self.variables, "$__rate_interval": interval}.items():
            query = query.replace(name, value)
        return query

    def series(self, query: str) -> list[dict[str, Any]]:
        """A range query. Raises RuntimeError with Prometheus' own words."""
        found: list[dict[str, Any]] = self._asked("query_range", query)["result"]
        return found

    def exemplars(self, query: str) -> list[tuple[float, float]]:
        """Moments and values of the exemplars of a query's series: the highest of each stretch."""
        highest: dict[int, tuple[float, float]] = {}
        for series in self._asked("query_exemplars", query):
            for each in series["exemplars"]:
                at, value = float(each["timestamp"]), float(each["value"])
                stretch = int((at - self.begin) / (self.end - self.begin) * _DOTS)
                if value > highest.get(stretch, (0.0, -1.0))[1]:
                    highest[stretch] = (at, value)
        return list(highest.values())

    def _asked(self, path: str, query: str) -> Any:
        asked = {
            "query": self.filled(query),
            "start": f"{self.begin:.0f}",
            "end": f"{self.end:.0f}",
            "step": f"{self.step:.0f}",
        }
        answer = requests.get(f"{self.url}/api/v1/{path}", params=asked, timeout=30)
        content = answer.json()
        if answer.status_code != 200:
            raise RuntimeError(f"{content.get('error', answer.status_code)}: {asked['query']}")
        return content["data"]
