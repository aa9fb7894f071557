"""prometheus_client's class of values, on our store.

prometheus_client looks its class up (``prometheus_client.values.ValueClass``) whenever a metric or
a child of one is made. With this one every Counter, Gauge, Summary and Histogram of an application
or a library is summed over all workers and keeps its exemplars.
"""

from __future__ import annotations

from math import isnan
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary, values
from prometheus_client.registry import REGISTRY
from prometheus_client.samples import Exemplar

from telemetry.metrics.directory import Series
from telemetry.metrics.slots import store
from telemetry.metrics.text import label_text


class SlotValue:
    """One number of a metric; the interface is that of ``prometheus_client.values.MutexValue``."""

    #: What prometheus_client asks when it refuses what cannot work in files, as `Info` would.
    _multiprocess = False

    __slots__ = ("_exemplar", "_slot", "_timed")

    def __init__(  # noqa: PLR0917  prometheus_client's order
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: tuple[str, ...],
        labelvalues: tuple[str, ...],
        help_text: str,
        multiprocess_mode: str = "",
        **_more: Any,
    ) -> None:
        self._exemplar: Exemplar | None = None
        series = Series(
            metric_name,
            typ,
            multiprocess_mode,
            help_text,
            name.removeprefix(metric_name),
            tuple(labelnames),
            tuple(labelvalues),
        )
        self._timed = series.slots == 2
        self._slot = store.slot(series)

    def inc(self, amount: float) -> None:
        with store.lock:
            value = store.cells[self._slot]
            store.cells[self._slot] = amount if isnan(value) else value + amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        with store.lock:
            store.cells[self._slot] = value
            if self._timed:
                store.cells[self._slot + 1] = timestamp or 0.0

    def get(self) -> float:
        """The value in this process."""
        value = store.cells[self._slot]
        return 0.0 if isnan(value) else value

    def set_exemplar(self, exemplar: Exemplar) -> None:
        self._exemplar = exemplar
        labels = label_text(sorted(exemplar.labels.items())).encode()
        store.set_exemplar(self._slot, labels, exemplar.value, float(exemplar.timestamp or 0))

    def get_exemplar(self) -> Exemplar | None:
        return self._exemplar


def install() -> None:
    """Make each metric from now on one of ours, and those that the default registry has already."""
    if values.ValueClass is SlotValue:
        return
    values.ValueClass = SlotValue
    # The registry has no public way to its collectors.
    for collector in list(REGISTRY._collector_to_names):  # noqa: SLF001
        if isinstance(collector, Counter | Gauge | Histogram | Summary):
            for metric in (collector, *getattr(collector, "_metrics", {}).values()):
                _adopt(metric)


def _adopt(metric: Any) -> None:
    """Give a metric that was made before us (in a settings file) values of ours."""
    had = {name: _numbers(kept) for name, kept in vars(metric).items() if name in _VALUES}
    if not had:
        # One with labels, whose children have the values.
        return
    metric._metric_init()  # noqa: SLF001
    for name, numbers in had.items():
        made = getattr(metric, name)
        for value, number in zip(made if isinstance(made, list) else [made], numbers, strict=True):
            value.set(number)


#: The attributes of prometheus_client's metrics that hold their values.
_VALUES = frozenset({"_value", "_sum", "_count", "_buckets"})


def _numbers(kept: Any) -> list[float]:
    return [value.get() for value in (kept if isinstance(kept, list) else [kept])]
