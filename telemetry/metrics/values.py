"""prometheus_client's class of values, on our store.

prometheus_client looks its class up (``prometheus_client.values.ValueClass``) whenever a metric or
a child of one is made. With this one every Counter, Gauge, Summary and Histogram of an application
or a library is summed over all workers and keeps its exemplars.
"""

from __future__ import annotations

from math import isnan
from typing import Any

from prometheus_client import values
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
    """Make every metric from now on one of ours."""
    values.ValueClass = SlotValue
