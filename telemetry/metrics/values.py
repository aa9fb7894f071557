"""prometheus_client's class of values, on our store.

prometheus_client looks its class up (``prometheus_client.values.ValueClass``) whenever a metric or
a child of one is made. With this one every Counter, Gauge, Summary and Histogram of an application
or a library is summed over all workers and keeps its exemplars.
"""

from __future__ import annotations

import sys
import warnings
from _thread import RLock
from collections.abc import Callable
from types import FrameType
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary, metrics, registry, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import REGISTRY
from prometheus_client.samples import Exemplar

from telemetry.metrics.directory import Series
from telemetry.metrics.slots import UNSET_BITS, store
from telemetry.metrics.text import clean, label_text

#: Slots of the values that exist, by the name of their metric.
living: dict[str, set[int]] = {}
#: Of each name a number that grows with each value.
made: dict[str, int] = {}

#: The one NaN that values have: with another payload it might mean that there is no value.
NAN = float("nan")


class SlotValue:
    """One number of a metric; the interface is that of ``prometheus_client.values.MutexValue``."""

    #: What prometheus_client asks when it refuses what cannot work in files, as `Info` would.
    _multiprocess = False

    __slots__ = ("_exemplar", "_interrupts", "_listed", "_slot", "_store", "_timed")

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
        suffix = name.removeprefix(metric_name)
        if suffix[:1] not in {"", "_"}:
            # A metric class of somebody else's, whose value has a name of its own.
            suffix = f"_{suffix}"
        series = Series(
            metric_name,
            typ,
            multiprocess_mode,
            help_text,
            suffix,
            tuple(labelnames),
            tuple(labelvalues),
        )
        self._timed = series.slots == 2
        self._store = store
        #: The metric and the label values of the call that this value's interrupts.
        self._interrupts = _interrupted_labels() if labelnames else None
        #: What the slot is listed as, None where it is the shared one past the bound.
        self._slot, self._listed = store.own_slot(series)
        if self._listed is not None:
            name = self._listed.family
            living.setdefault(name, set()).add(self._slot)
            made[name] = made.get(name, 0) + 1

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        """The metric, or its child, was removed: its value is not shown any more.

        At the end of the process it stays, for whoever adds up what exited processes counted.
        """
        if _is_finalizing():
            return
        try:
            listed, kept, slot = self._listed, self._store, self._slot
        except AttributeError:
            # It was interrupted while it was made.
            return
        if listed is not None:
            if self._interrupts is not None:
                self._give_to_the_other(listed)
            living[listed.family].discard(slot)
            kept.free_slot(slot, listed)

    def _give_to_the_other(self, listed: Series) -> None:
        """Add what was counted to the value of the child that took the place of this one's.

        ``labels()`` of prometheus_client looks for a child, makes one and stores it. Who interrupts
        it for the same labels, a signal handler or a finalizer, gets a child that the interrupted
        call then replaces by its own.
        """
        metric, labels = self._interrupts or (None, ())
        child = getattr(metric, "_metrics", {}).get(labels)
        for other in of(child) if child is not None else ():
            if other is not self and other._listed == listed:  # noqa: SLF001  one of this class
                other.inc(self.get())

    @property
    def own_slot(self) -> int | None:
        """The slot that this value alone has."""
        return None if self._listed is None else self._slot

    def inc(self, amount: float) -> None:
        store = self._store
        if amount != amount:  # noqa: PLR0124  NaN
            amount = NAN
        with store.lock:
            if store.bits[self._slot] == UNSET_BITS:
                store.cells[self._slot] = 0.0
            store.cells[self._slot] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        if value != value:  # noqa: PLR0124  NaN
            value = NAN
        store = self._store
        time = timestamp or 0.0
        with store.lock:
            if self._timed:
                store.cells[self._slot + 1] = time
            store.cells[self._slot] = value

    def get(self) -> float:
        """The value in this process."""
        if self._store.bits[self._slot] == UNSET_BITS:
            return 0.0
        return self._store.cells[self._slot]

    def set_exemplar(self, exemplar: Exemplar) -> None:
        self._exemplar = exemplar
        try:
            labels = sorted((clean(name), clean(text)) for name, text in exemplar.labels.items())
            value, time = float(exemplar.value), float(exemplar.timestamp or 0)
        except (TypeError, ValueError, OverflowError):
            # prometheus_client takes amounts that are no float, as a fraction is.
            self._store.count_lost("invalid")
            return
        self._store.set_exemplar(self._slot, label_text(labels).encode(), value, time)

    def get_exemplar(self) -> Exemplar | None:
        return self._exemplar


def of(metric: Any) -> list[SlotValue]:
    """The values of one metric, or of one child of it."""
    kept = [vars(metric).get(attribute) for attribute in VALUES]
    flat = [one for each in kept for one in (each if isinstance(each, list) else [each])]
    return [one for one in flat if isinstance(one, SlotValue)]


def _interrupted_labels() -> tuple[Any, Any] | None:
    """The metric and the label values for which a child is made in the middle of the making of the
    same child; None, as nearly always, where nothing was interrupted."""
    inner: tuple[Any, Any] | None = None
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    while frame is not None:
        if frame.f_code is _LABELS:
            found = frame.f_locals["self"], frame.f_locals.get("str_labelvalues")
            if inner is None:
                inner = found
            elif inner[0] is found[0] and inner[1] == found[1]:
                return found
        frame = frame.f_back
    return None


_LABELS = MetricWrapperBase.labels.__code__


def install() -> None:
    """Make each metric from now on one of ours, and those that the default registry has already."""
    if values.ValueClass is SlotValue:
        return
    values.ValueClass = SlotValue
    _let_locks_in_again()
    # What prometheus_client cannot do in files of its own: ours take series out of the scrape.
    for what in ("Removal of labels has not been", "Clearing labels has not been"):
        warnings.filterwarnings("ignore", what, UserWarning, "prometheus_client")
    # The registry has no public way to its collectors.
    for collector in list(REGISTRY._collector_to_names):  # noqa: SLF001
        if isinstance(collector, Counter | Gauge | Histogram | Summary):
            for metric in (collector, *getattr(collector, "_metrics", {}).values()):
                _adopt(metric)


class ReentrantLock(RLock):  # type: ignore[misc]  # final for typeshed, not for CPython
    """A lock that its own thread may take again, with what is asked of a plain one."""

    def locked(self) -> bool:
        """Whether any thread holds it (CPython's has the method from 3.14 on)."""
        if self._is_owned():  # type: ignore[attr-defined]
            return True
        if self.acquire(blocking=False):
            self.release()
            return False
        return True


def _let_locks_in_again() -> None:
    """Let a signal handler or a finalizer use a metric whose lock its own thread holds.

    prometheus_client 0.26 takes plain locks when it makes a child or registers a metric: a
    handler that interrupts that and does the same would wait for itself.
    """
    metrics.Lock = registry.Lock = ReentrantLock  # type: ignore[assignment,attr-defined]
    REGISTRY._lock = ReentrantLock()  # type: ignore[assignment]  # noqa: SLF001
    for collector in list(REGISTRY._collector_to_names):  # noqa: SLF001
        if hasattr(collector, "_metrics"):
            vars(collector)["_lock"] = ReentrantLock()


def _adopt(metric: Any) -> None:
    """Give a metric that was made before us (in a settings file) values of ours."""
    had = {name: _numbers(kept) for name, kept in vars(metric).items() if name in VALUES}
    if not had:
        # One with labels, whose children have the values.
        return
    metric._metric_init()  # noqa: SLF001
    for name, numbers in had.items():
        made = getattr(metric, name)
        for value, number in zip(made if isinstance(made, list) else [made], numbers, strict=True):
            value.set(number)


#: The attributes of prometheus_client's metrics that hold their values.
VALUES = frozenset({"_value", "_sum", "_count", "_buckets"})


def _numbers(kept: Any) -> list[float]:
    return [value.get() for value in (kept if isinstance(kept, list) else [kept])]
