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
from itertools import islice
from math import inf, nan
from time import time
from typing import Any

from opentelemetry import metrics as api
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client.registry import REGISTRY

from telemetry.environment import Variable, entry_point
from telemetry.metrics.directory import Series
from telemetry.metrics.slots import MOST_BUCKETS, TRASH, UNSET_BITS, store
from telemetry.metrics.text import clean, number

logger = logging.getLogger(__name__)

Attributes = Mapping[str, Any] | None
#: A function, or a generator that is sent the options.
Callback = (
    Callable[[CallbackOptions], Iterable[Observation]]
    | Generator[Iterable[Observation], CallbackOptions, None]
)

#: OpenTelemetry's default boundaries.
BOUNDARIES = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)

#: Attributes of one series: half of OpenTelemetry's general limit (OTEL_ATTRIBUTE_COUNT_LIMIT),
#: for a histogram repeats them on each line.
MOST_ATTRIBUTES = 64
#: Characters of an instrument's name (OpenTelemetry's metrics API, "Instrument name syntax").
_LONGEST_NAME = 255
#: Sample names of all instruments together; a name that is made of data would fill the memory.
_MOST_INSTRUMENTS = 4000

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
    """Slots by attributes. One instrument of a name and a scope, in all threads.

    What is given to it comes from an application's code at any place, so nothing that is given
    raises: what cannot be recorded is told once and counted.
    """

    kind = "counter"
    mode = ""
    #: Whether a negative amount, or one that is not finite, is an error of whoever records it.
    only_grows = True

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
            # With the types: 1, 1.0 and True are one key, and three values of a label.
            key = (*attributes.items(), *map(type, attributes.values())) if attributes else ()
            known = self._slots.get(key)
        except Exception:  # noqa: BLE001  a list as a value, or what has no items
            key, known = None, None
        if known is not None:
            return known
        slot = self._new_slot(attributes)
        if key is not None and len(self._slots) < store.series_limit:
            self._slots[key] = slot
        return slot

    def _new_slot(self, attributes: Attributes) -> int:
        if problem := collision(self._family, self.kind):
            # A metric of that name was made after this instrument.
            warn_once(self._family, problem)
            store.count_lost("invalid")
            return TRASH
        return store.slot(self._series(attributes))

    def _series(self, attributes: Attributes) -> Series:
        labels: dict[str, str] = {}
        for name, value in self._pairs(attributes):
            label = self._label(name)
            # Two names that become one: the values are joined, as the specification says.
            labels[label] = f"{labels[label]};{value}" if label in labels else value
        labels |= self._scope
        suffix = "_total" if self.kind == "counter" else ""
        bounds = (*map(number, self._bounds), "+Inf") if self.kind == "histogram" else ()
        names, values = tuple(labels), tuple(labels.values())
        return Series(
            self._family, self.kind, self.mode, self._description, suffix, names, values, bounds
        )

    def _pairs(self, attributes: Attributes) -> list[tuple[str, str]]:
        """Names and values as texts, by name; no more than a series may have."""
        try:
            # Not every mapping has a truth value: numpy's arrays raise.
            if not attributes:
                return []
            given = list(islice(attributes.items(), MOST_ATTRIBUTES + 1))
            pairs = sorted((clean(name), _attribute_text(value)) for name, value in given)
        except Exception:  # noqa: BLE001  no mapping, or one that fails
            warn_once(self._family, "attributes that are no mapping are left out")
            return []
        if len(pairs) > MOST_ATTRIBUTES:
            warn_once(self._family, f"attributes beyond {MOST_ATTRIBUTES} are left out")
        return pairs[:MOST_ATTRIBUTES]

    def _label(self, name: str) -> str:
        label = _INVALID.sub("_", name).replace(":", "_")
        if not label or label[0].isdigit():
            label = f"_{label}"
        # Two at the beginning are Prometheus' own, `le` is a bucket's.
        label = re.sub("^__+", "_", label)
        return "exported_le" if label == "le" and self.kind == "histogram" else label

    def _amount(self, given: Any) -> float | None:
        """The amount as a number, None where it cannot be recorded."""
        try:
            amount = float(given)
        except Exception:  # noqa: BLE001  anything may be given
            warn_once(self._family, f"an amount that is no number is left out: {clean(given, 80)}")
        else:
            if not self.only_grows or 0 <= amount < inf:
                return amount
            warn_once(
                self._family, f"an amount that is negative or not finite is left out: {amount}"
            )
        store.count_lost("invalid")
        return None

    def plus(self, given: Any, attributes: Attributes) -> None:
        if (amount := self._amount(given)) is None:
            return
        slot = self.slot(attributes)
        with store.lock:
            if store.bits[slot] == UNSET_BITS:
                store.cells[slot] = 0.0
            store.cells[slot] += amount

    def put(self, given: Any, attributes: Attributes) -> None:
        if (value := self._amount(given)) is None:
            return
        slot = self.slot(attributes)
        now = time()
        with store.lock:
            if self.mode.endswith("mostrecent"):
                store.cells[slot + 1] = now
            # The one NaN that means a number: see `slots.UNSET_BITS`.
            store.cells[slot] = value if value == value else nan  # noqa: PLR0124


def _attribute_text(value: Any) -> str:
    return clean(str(value).lower() if isinstance(value, bool) else value)


_warned: set[tuple[str, str]] = set()


def warn_once(name: str, problem: str) -> None:
    """Log what is wrong with an instrument, once in this process for each problem and name."""
    # Without the example that a message ends with.
    key = (name, problem.partition(":")[0])
    if key not in _warned and len(_warned) < _MOST_INSTRUMENTS:
        _warned.add(key)
        logger.warning("OpenTelemetry's instrument %r: %s", name, problem)


class StoreCounter(_Instrument, api.Counter):
    def add(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        self.plus(amount, attributes)


class StoreUpDownCounter(_Instrument, api.UpDownCounter):
    kind, mode = "gauge", "livesum"
    only_grows = False

    def add(
        self,
        amount: float,
        attributes: Attributes = None,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        self.plus(amount, attributes)


class StoreGauge(_Instrument, api._Gauge):  # noqa: SLF001  the API's name
    kind, mode = "gauge", "livemostrecent"
    only_grows = False

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
        if (value := self._amount(amount)) is None:
            return
        slot = self.slot(attributes)
        bucket = slot + 1 + bisect_left(self._bounds, value)
        with store.lock:
            store.cells[bucket] += 1
            store.cells[slot] += value


class _Observed(_Instrument):
    callbacks: Sequence[Callback] = ()

    def observe(self) -> None:
        """Ask the callbacks; one that fails is told once, and the others are asked."""
        for callback in self.callbacks:
            try:
                for found in islice(_ask(callback), store.series_limit):
                    self._observe(found)
            except BaseException as error:  # noqa: BLE001  `sys.exit()` would end the thread
                warn_once(self._family, f"a callback failed: {clean(repr(error))}")

    def _observe(self, found: Any) -> None:
        if isinstance(found, Observation):
            self.put(found.value, found.attributes)
        else:
            warn_once(self._family, f"a callback gave no Observation: {clean(found, 80)}")
            store.count_lost("invalid")


def _ask(callback: Callback) -> Iterable[Observation]:
    if isinstance(callback, Generator):
        begun = inspect.getgeneratorstate(callback) != inspect.GEN_CREATED
        return callback.send(CallbackOptions()) if begun else next(callback)
    return callback(CallbackOptions())


class StoreObservableCounter(_Observed, api.ObservableCounter):
    pass


class StoreObservableUpDownCounter(_Observed, api.ObservableUpDownCounter):
    kind, mode = "gauge", "livesum"
    only_grows = False


class StoreObservableGauge(_Observed, api.ObservableGauge):
    kind, mode = "gauge", "livemostrecent"
    only_grows = False


#: What an application gets for an instrument that cannot be shown: its calls do nothing.
_IGNORING: dict[type, type] = {
    StoreCounter: api.NoOpCounter,
    StoreUpDownCounter: api.NoOpUpDownCounter,
    StoreGauge: api._NoOpGauge,  # noqa: SLF001  the API's name
    StoreHistogram: api.NoOpHistogram,
    StoreObservableCounter: api.NoOpObservableCounter,
    StoreObservableUpDownCounter: api.NoOpObservableUpDownCounter,
    StoreObservableGauge: api.NoOpObservableGauge,
}

#: Endings of sample names, by the kind of their family (OpenMetrics 1.0, "Suffixes").
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("_sum", "_count", "_created"),
}
#: Sample names of instruments, with the family and kind that they belong to.
_taken: dict[str, tuple[str, str]] = {}


def _sample_names(family: str, kind: str) -> list[str]:
    return [family, *(family + suffix for suffix in _SUFFIXES.get(kind, ()))]


def collision(family: str, kind: str) -> str:
    """What keeps a family of this name from being shown, nothing if it can be."""
    if not re.search("[a-zA-Z0-9]", family):
        return "no name remains of it that a scrape can have"
    # Every metric of telemetry's own table and of the application has its names there; the
    # registry has no public way to look one up.
    registered = REGISTRY._names_to_collectors  # noqa: SLF001
    for name in _sample_names(family, kind):
        if name in registered:
            return f"a metric has the name {name} already"
        if _taken.get(name, (family, kind)) != (family, kind):
            return f"another instrument has the name {name} already"
    return ""


class StoreMeter(api.Meter):
    """Makes the instruments of one scope."""

    def __init__(self, name: str, version: str | None, schema_url: str | None) -> None:
        super().__init__(name, version, schema_url)
        self.labels = {"otel_scope_name": name, "otel_scope_version": version or ""}
        self._made: dict[tuple[type, str], Any] = {}

    def _make(self, kind: type, name: str, unit: str, description: str, *more: Any) -> Any:
        # Made twice is one instrument, as the API says.
        name, unit, description = (
            given if isinstance(given, str) else clean(given)
            for given in (name, unit or "", description or "")
        )
        key = (kind, clean(name).lower())
        if key not in self._made:
            self._made[key] = self._new(kind, clean(name), clean(unit), description, *more)
        return self._made[key]

    def _new(self, kind: Any, name: str, unit: str, *more: Any) -> Any:
        family = family_name(name, unit, gauge=kind.kind == "gauge")
        problem = collision(family, kind.kind)
        if len(name) > _LONGEST_NAME:
            problem = f"its name has more than {_LONGEST_NAME} characters"
        elif len(_taken) >= _MOST_INSTRUMENTS:
            problem = f"there are more than {_MOST_INSTRUMENTS} names of instruments"
        if problem:
            warn_once(name, f"{problem}; it is left out")
            return _IGNORING[kind](name)
        for sample in _sample_names(family, kind.kind):
            _taken[sample] = (family, kind.kind)
        return kind(self, name, unit, *more)

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
        bounds = _bounds(name, explicit_bucket_boundaries_advisory)
        made: api.Histogram = self._make(StoreHistogram, name, unit, description, bounds)
        return made

    def _observable(
        self, kind: type, name: str, callbacks: Sequence[Callback] | None, *more: str
    ) -> Any:
        made = self._make(kind, name, *more)
        if isinstance(made, _Observed):
            made.callbacks = [*made.callbacks, *_callbacks(name, callbacks)]
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


def _callbacks(name: str, given: Any) -> Sequence[Callback]:
    if callable(given) or isinstance(given, Generator):
        given = [given]
    try:
        return tuple(given or ())
    except Exception:  # noqa: BLE001  anything may be given
        warn_once(clean(name), "callbacks that are no sequence are left out")
        return ()


def _bounds(name: str, given: Any) -> Sequence[float]:
    """Upper bounds that rise; OpenTelemetry's own where those given are none."""
    try:
        bounds = sorted({float(bound) for bound in given or BOUNDARIES})
    except Exception:  # noqa: BLE001  anything may be given
        bounds = []
    finite = [bound for bound in bounds if -inf < bound < inf]
    if not finite:
        warn_once(clean(name), "boundaries that are no numbers are left out")
        finite = [float(bound) for bound in BOUNDARIES]
    return finite[: MOST_BUCKETS - 1]


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
        name, version = clean(name), None if version is None else clean(version)
        key = (name, version)
        if key not in self._meters:
            made = StoreMeter(name, version, schema_url)
            if len(self._meters) >= _MOST_INSTRUMENTS:
                return made
            self._meters[key] = made
        return self._meters[key]


_observed: set[_Observed] = set()


def has_callbacks() -> bool:
    return bool(_observed)


def observe() -> None:
    """Ask the observable instruments of this process; the runtime does so every few seconds."""
    for instrument in list(_observed):
        instrument.observe()


def install() -> None:
    """Make ours the meter provider, unless the application set the SDK's."""
    from opentelemetry.sdk.metrics import MeterProvider

    # The API would raise StopIteration.
    Variable(
        "OTEL_PYTHON_METER_PROVIDER", entry_point("opentelemetry_meter_provider"), "", ""
    ).read()
    if not isinstance(api.get_meter_provider(), MeterProvider):
        api.set_meter_provider(StoreMeterProvider())
