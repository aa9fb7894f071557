"""Instruments of ``opentelemetry.metrics`` in our store: in the scrape, summed over all workers.

Names and labels follow "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry
specification: a unit becomes a suffix in words, a monotonic sum ends in ``_total``, and the scope
stands in ``otel_scope_name`` and ``otel_scope_version``.
"""

from __future__ import annotations

import inspect
import logging
import re
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from time import time
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation

from telemetry.metrics.directory import Series
from telemetry.metrics.slots import MOST_BUCKETS, store
from telemetry.metrics.text import number

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Any] | None
#: A function, or a generator that is sent the options.
Callback = (
    Callable[[CallbackOptions], Iterable[Observation]]
    | Generator[Iterable[Observation], CallbackOptions, None]
)

#: OpenTelemetry's default boundaries.
BOUNDARIES = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)

#: UCUM's short forms in words.
_UNITS = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
    "us": "microseconds", "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes",
    "MiBy": "mebibytes", "GiBy": "gibibytes", "KBy": "kilobytes", "MBy": "megabytes",
    "GBy": "gigabytes", "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts",
    "g": "grams", "Cel": "celsius", "Hz": "hertz", "%": "percent",
}  # fmt: skip
_PER = {"s": "second", "m": "minute", "min": "minute", "h": "hour", "d": "day"}
_INVALID = re.compile(r"[^a-zA-Z0-9_:]+")
_ANNOTATION = re.compile(r"\{[^}]*\}")


def family_name(name: str, unit: str, *, gauge: bool) -> str:
    """The metric's name in a scrape, without ``_total``."""
    found = _INVALID.sub("_", name)
    if found[:1].isdigit():
        found = f"_{found}"
    suffix = _unit_in_words(unit, gauge=gauge)
    if suffix and not found.endswith(f"_{suffix}"):
        found = f"{found}_{suffix}"
    return re.sub("_+", "_", found).removesuffix("_total")


def _unit_in_words(unit: str, *, gauge: bool) -> str:
    unit = _ANNOTATION.sub("", unit or "")
    if unit == "1":
        return "ratio" if gauge else ""
    above, slash, below = unit.partition("/")
    words = _UNITS.get(above, _INVALID.sub("_", above))
    if slash and below:
        words += f"_per_{_PER.get(below, _INVALID.sub('_', below))}"
    return words.strip("_")


class _Instrument:
    """Slots by attributes. One instrument of a name and a scope, in all threads."""

    kind = "counter"
    mode = ""

    def __init__(
        self,
        meter: StoreMeter,
        name: str,
        unit: str,
        description: str,
        bounds: Sequence[float] = (),
    ) -> None:
        self._family = family_name(name, unit, gauge=self.kind == "gauge")
        # promtool finds fault with a metric without help.
        self._description = description or f"OpenTelemetry's instrument {name}."
        self._scope = meter.labels
        self._bounds = tuple(float(bound) for bound in bounds)
        self._slots: dict[Any, int] = {}

    def slot(self, attributes: Attributes) -> int:
        """The first slot of the series with these attributes."""
        try:
            key = tuple(attributes.items()) if attributes else ()
            known = self._slots.get(key)
        except TypeError:
            # A list as a value.
            key, known = None, None
        if known is not None:
            return known
        slot = store.slot(self._series(attributes))
        if key is not None and len(self._slots) < store.series_limit:
            self._slots[key] = slot
        return slot

    def _series(self, attributes: Attributes) -> Series:
        labels: dict[str, str] = {}
        for name, value in sorted((attributes or {}).items()):
            label = self._label(str(name))
            text = str(value).lower() if isinstance(value, bool) else str(value)
            # Two names that become one: the values are joined, as the specification says.
            labels[label] = f"{labels[label]};{text}" if label in labels else text
        labels |= self._scope
        suffix = "_total" if self.kind == "counter" else ""
        bounds = (*map(number, self._bounds), "+Inf") if self.kind == "histogram" else ()
        names, values = tuple(labels), tuple(labels.values())
        return Series(
            self._family, self.kind, self.mode, self._description, suffix, names, values, bounds
        )

    def _label(self, name: str) -> str:
        label = _INVALID.sub("_", name).replace(":", "_")
        if not label or label[0].isdigit():
            label = f"_{label}"
        # Two at the beginning are Prometheus' own, `le` is a bucket's.
        label = re.sub("^__+", "_", label)
        return "exported_le" if label == "le" and self.kind == "histogram" else label

    def plus(self, amount: float, attributes: Attributes) -> None:
        slot = self.slot(attributes)
        with store.lock:
            value = store.cells[slot]
            store.cells[slot] = amount if value != value else value + amount  # noqa: PLR0124  NaN

    def put(self, value: float, attributes: Attributes) -> None:
        slot = self.slot(attributes)
        with store.lock:
            store.cells[slot] = value
            if self.mode.endswith("mostrecent"):
                store.cells[slot + 1] = time()


class StoreCounter(_Instrument, api.Counter):
    def add(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        if amount < 0:
            logger.warning("a counter cannot fall: %s by %s", self._family, amount)
            return
        self.plus(amount, attributes)


class StoreUpDownCounter(_Instrument, api.UpDownCounter):
    kind, mode = "gauge", "livesum"

    def add(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        self.plus(amount, attributes)


class StoreGauge(_Instrument, api._Gauge):  # noqa: SLF001  the API's name
    kind, mode = "gauge", "livemostrecent"

    def set(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        self.put(amount, attributes)


class StoreHistogram(_Instrument, api.Histogram):
    kind = "histogram"

    def record(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        slot = self.slot(attributes)
        with store.lock:
            store.cells[slot + 1 + bisect_left(self._bounds, amount)] += 1
            store.cells[slot] += amount


class _Observed(_Instrument):
    callbacks: Sequence[Callback] = ()

    def observe(self) -> None:
        """Ask the callbacks; one that fails says so and the others are asked."""
        for callback in self.callbacks:
            try:
                for found in _ask(callback):
                    self.put(found.value, found.attributes)
            except Exception:
                logger.warning("a callback of %s failed", self._family, exc_info=True)


def _ask(callback: Callback) -> Iterable[Observation]:
    if isinstance(callback, Generator):
        begun = inspect.getgeneratorstate(callback) != inspect.GEN_CREATED
        return callback.send(CallbackOptions()) if begun else next(callback)
    return callback(CallbackOptions())


class StoreObservableCounter(_Observed, api.ObservableCounter):
    pass


class StoreObservableUpDownCounter(_Observed, api.ObservableUpDownCounter):
    kind, mode = "gauge", "livesum"


class StoreObservableGauge(_Observed, api.ObservableGauge):
    kind, mode = "gauge", "livemostrecent"


class StoreMeter(api.Meter):
    """Makes the instruments of one scope."""

    def __init__(self, name: str, version: str | None, schema_url: str | None) -> None:
        super().__init__(name, version, schema_url)
        self.labels = {"otel_scope_name": name, "otel_scope_version": version or ""}
        self._made: dict[tuple[type, str], Any] = {}

    def _make(self, kind: type, name: str, unit: str, description: str, *more: Any) -> Any:
        # Made twice is one instrument, as the API says.
        key = (kind, name.lower())
        if key not in self._made:
            self._made[key] = kind(self, name, unit, description, *more)
        return self._made[key]

    def create_counter(self, name: str, unit: str = "", description: str = "") -> api.Counter:
        made: api.Counter = self._make(StoreCounter, name, unit, description)
        return made

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = ""
    ) -> api.UpDownCounter:
        made: api.UpDownCounter = self._make(StoreUpDownCounter, name, unit, description)
        return made

    def create_gauge(self, name: str, unit: str = "", description: str = "") -> Any:
        return self._make(StoreGauge, name, unit, description)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float] | None = None,
    ) -> api.Histogram:
        bounds = sorted(explicit_bucket_boundaries_advisory or BOUNDARIES)[: MOST_BUCKETS - 1]
        made: api.Histogram = self._make(StoreHistogram, name, unit, description, bounds)
        return made

    def _observable(
        self, kind: type, name: str, callbacks: Sequence[Callback] | None, *more: str
    ) -> Any:
        made = self._make(kind, name, *more)
        made.callbacks = [*made.callbacks, *(callbacks or ())]
        _observed.add(made)
        return made

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[Callback] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableCounter:
        made: api.ObservableCounter = self._observable(
            StoreObservableCounter, name, callbacks, unit, description
        )
        return made

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[Callback] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableUpDownCounter:
        made: api.ObservableUpDownCounter = self._observable(
            StoreObservableUpDownCounter, name, callbacks, unit, description
        )
        return made

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[Callback] | None = None,
        unit: str = "",
        description: str = "",
    ) -> api.ObservableGauge:
        made: api.ObservableGauge = self._observable(
            StoreObservableGauge, name, callbacks, unit, description
        )
        return made


class StoreMeterProvider(api.MeterProvider):
    def __init__(self) -> None:
        self._meters: dict[tuple[str, str | None], StoreMeter] = {}

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,  # noqa: ARG002
    ) -> StoreMeter:
        key = (name, version)
        if key not in self._meters:
            self._meters[key] = StoreMeter(name, version, schema_url)
        return self._meters[key]


_observed: set[_Observed] = set()


def observe() -> None:
    """Ask the observable instruments of this process; the runtime does so every few seconds."""
    for instrument in list(_observed):
        instrument.observe()


def install() -> None:
    """Make ours the meter provider, unless the application set the SDK's."""
    from opentelemetry.sdk.metrics import MeterProvider

    if not isinstance(api.get_meter_provider(), MeterProvider):
        api.set_meter_provider(StoreMeterProvider())
