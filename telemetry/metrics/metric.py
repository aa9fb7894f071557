"""One metric of telemetry's own table: its declaration and its children, held under a bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from telemetry.metrics import instruments

M = TypeVar("M", Counter, Gauge, Histogram)

Kind = Literal["counter", "gauge", "histogram"]
OVERFLOW = "overflow"


class Metric(Generic[M]):
    """A declared metric.

    It can be declared before the store is chosen and before a fork: the instrument behind it is
    made by :meth:`create` or at first use.

    ``scraped`` metrics have no instrument: ``telemetry.metrics.process`` measures them when
    somebody scrapes.
    """

    kind: Kind

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        initial: Sequence[tuple[str, ...]] = (),
        scraped: bool = False,
    ) -> None:
        self.name = name
        self.documentation = documentation
        self.labels = tuple(labels)
        #: Label values whose series start at 0: closed sets only.
        self.initial = tuple(initial)
        self.scraped = scraped
        self.instrument: M | None = None
        self._children: dict[tuple[str, ...], M] = {}

    def make(self) -> M:
        raise NotImplementedError

    def create(self) -> None:
        if self.instrument is None and not self.scraped:
            self.instrument = self.make()
            for values in self.initial:
                self.child(*values)

    def child(self, *values: str) -> M:
        """The series with these label values; past the bound, the metric's overflow series."""
        try:
            return self._children[values]
        except KeyError:
            return self._new_child(values)

    def _new_child(self, values: tuple[str, ...]) -> M:
        if self.instrument is None:
            self.create()
        instrument = self.instrument
        if instrument is None:
            raise RuntimeError(f"{self.name} is measured at the scrape, it has no series to write")
        if not self.labels:
            self._children[()] = instrument
            return instrument
        if len(self._children) >= series_limit:
            from telemetry.metrics.definitions import SERIES_DROPPED

            SERIES_DROPPED.child(self.name).inc()
            values = (OVERFLOW,) * len(self.labels)
        child: Any = instrument.labels(*values)
        self._children[values] = child
        made: M = child
        return made


#: Series of one metric in one process; ``telemetry.runtime`` sets it from SERIES_PER_METRIC.
series_limit = 5000


class CounterMetric(Metric[Counter]):
    kind = "counter"

    def make(self) -> Counter:
        return instruments.counter(self.name, self.documentation, self.labels)


class GaugeMetric(Metric[Gauge]):
    kind = "gauge"

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        merge: instruments.Merge = "sum",
        scraped: bool = False,
    ) -> None:
        super().__init__(name, documentation, labels, scraped=scraped)
        self.merge = merge

    def make(self) -> Gauge:
        return instruments.gauge(self.name, self.documentation, self.labels, merge=self.merge)


class HistogramMetric(Metric[Histogram]):
    kind = "histogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
    ) -> None:
        super().__init__(name, documentation, labels)
        self.buckets = tuple(buckets)

    def make(self) -> Histogram:
        return instruments.histogram(
            self.name, self.documentation, self.labels, buckets=self.buckets
        )
