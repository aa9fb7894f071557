"""One metric of telemetry's own table: its declaration and its children, held under a bound.

Its children write their slots themselves: a child of prometheus_client costs several times as
much, and a histogram of it one record of names for each bucket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from time import time
from typing import Generic, Literal, TypeVar

from telemetry.metrics.directory import Series
from telemetry.metrics.instruments import Merge
from telemetry.metrics.slots import MOST_BUCKETS, OVERFLOW, UNSET_BITS, store
from telemetry.metrics.text import clean, number

Kind = Literal["counter", "gauge", "histogram"]


class Child:
    """One series, or the several of a histogram."""

    __slots__ = ("slot",)

    def __init__(self, slot: int) -> None:
        self.slot = slot


class CounterChild(Child):
    __slots__ = ()

    def inc(self, amount: float = 1) -> None:
        with store.lock:
            store.cells[self.slot] += amount

    def set(self, value: float) -> None:
        """The value as somebody else counted it in this process."""
        store.cells[self.slot] = value


class GaugeChild(Child):
    __slots__ = ()

    def inc(self, amount: float = 1) -> None:
        with store.lock:
            if store.bits[self.slot] == UNSET_BITS:
                store.cells[self.slot] = 0.0
            store.cells[self.slot] += amount

    def dec(self, amount: float = 1) -> None:
        self.inc(-amount)

    def set(self, value: float) -> None:
        store.cells[self.slot] = value


class HistogramChild(Child):
    __slots__ = ("bounds",)

    def __init__(self, slot: int, bounds: tuple[float, ...]) -> None:
        super().__init__(slot)
        self.bounds = bounds

    def observe(self, value: float, trace_id: str = "") -> None:
        """Count a value; ``trace_id`` of a sampled trace becomes the bucket's exemplar."""
        bucket = self.slot + 1 + bisect_left(self.bounds, value)
        with store.lock:
            store.cells[bucket] += 1
            store.cells[self.slot] += value
            if trace_id:
                store.set_exemplars([(bucket, value)], trace_id, time(), 0.0)


C = TypeVar("C", CounterChild, GaugeChild, HistogramChild)


class Metric(Generic[C]):
    """A declared metric.

    ``scraped`` metrics have no slots: ``telemetry.metrics.process`` measures them when somebody
    scrapes.
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
        self._children: dict[tuple[str, ...], C] = {}

    @property
    def family(self) -> str:
        """The name as the formats' TYPE lines of OpenMetrics have it."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name

    def make(self, values: tuple[str, ...]) -> C:
        raise NotImplementedError

    def create(self) -> None:
        """Make the series that start at 0."""
        if not self.scraped:
            for values in self.initial or ([] if self.labels else [()]):
                self.child(*values)

    def child(self, *values: str) -> C:
        """The series with these label values; past the bound, the metric's overflow series."""
        try:
            return self._children[values]
        except KeyError:
            return self._new_child(values)

    def _new_child(self, values: tuple[str, ...]) -> C:
        if self.scraped:
            raise RuntimeError(f"{self.name} is measured at the scrape, it has no series to write")
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {len(values)} values")
        # What is kept for a series does not grow with the text that it was asked for by.
        values = tuple(map(clean, values))
        if values in self._children:
            return self._children[values]
        if len(self._children) >= store.series_limit and self.family not in store.unbounded:
            store.count_dropped(self.name)
            values = (OVERFLOW,) * len(self.labels)
            if values in self._children:
                return self._children[values]
        made = self._children[values] = self.make(values)
        return made

    def _slot(
        self, values: tuple[str, ...], *, mode: str = "", bounds: tuple[str, ...] = ()
    ) -> int:
        suffix = "_total" if self.kind == "counter" else ""
        return store.slot(
            Series(
                self.family,
                self.kind,
                mode,
                self.documentation,
                suffix,
                self.labels,
                values,
                bounds,
            )
        )


class CounterMetric(Metric[CounterChild]):
    kind = "counter"

    def make(self, values: tuple[str, ...]) -> CounterChild:
        return CounterChild(self._slot(values))


class GaugeMetric(Metric[GaugeChild]):
    kind = "gauge"

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        *,
        merge: Merge = "sum",
        scraped: bool = False,
    ) -> None:
        super().__init__(name, documentation, labels, scraped=scraped)
        self.merge = merge

    def make(self, values: tuple[str, ...]) -> GaugeChild:
        return GaugeChild(self._slot(values, mode="live" + self.merge))


class HistogramMetric(Metric[HistogramChild]):
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
        if len(buckets) >= MOST_BUCKETS or list(buckets) != sorted(buckets):
            raise ValueError(f"{name} needs at most {MOST_BUCKETS} bounds that rise")
        self.buckets = tuple(float(bound) for bound in buckets)

    def make(self, values: tuple[str, ...]) -> HistogramChild:
        bounds = tuple(number(bound) for bound in (*self.buckets, float("inf")))
        return HistogramChild(self._slot(values, bounds=bounds), self.buckets)
