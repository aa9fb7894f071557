"""prometheus_client's class of values, on our store.

prometheus_client looks its class up (``prometheus_client.values.ValueClass``) whenever a metric or
a child of one is made. With this one every Counter, Gauge, Summary and Histogram of an application
or a library is summed over all workers and keeps its exemplars.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary, values
from prometheus_client.registry import REGISTRY
from prometheus_client.samples import Exemplar

from telemetry.metrics.directory import Series
from telemetry.metrics.slots import UNSET_BITS, store
from telemetry.metrics.text import clean, label_text

#: The one NaN that values have: with another payload it might mean that there is no value.
NAN = float("nan")


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
        if amount != amount:  # noqa: PLR0124  NaN
            amount = NAN
        with store.lock:
            if store.bits[self._slot] == UNSET_BITS:
                store.cells[self._slot] = 0.0
            store.cells[self._slot] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        if value != value:  # noqa: PLR0124  NaN
            value = NAN
        time = timestamp or 0.0
        with store.lock:
            if self._timed:
                store.cells[self._slot + 1] = time
            store.cells[self._slot] = value

    def get(self) -> float:
        """The value in this process."""
        if store.bits[self._slot] == UNSET_BITS:
            return 0.0
        return store.cells[self._slot]

    def set_exemplar(self, exemplar: Exemplar) -> None:
        self._exemplar = exemplar
        try:
            labels = sorted((clean(name), clean(text)) for name, text in exemplar.labels.items())
            value, time = float(exemplar.value), float(exemplar.timestamp or 0)
        except (TypeError, ValueError, OverflowError):
            # prometheus_client takes amounts that are no float, as a fraction is.
            store.count_lost("invalid")
            return
        store.set_exemplar(self._slot, label_text(labels).encode(), value, time)

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
