"""prometheus_client's default registry and our store: what each shows of the other.

The scrape shows every metric of prometheus_client's own classes from our store, summed over all
workers. What computes its numbers when it is asked (custom collectors, ``Info``, ``Enum``,
``Gauge.set_function``) has none there: it is shown as it is in the process that answers.

A project's own scrape view (``generate_latest(REGISTRY)``, a ``MultiProcessCollector``) shows the
same, for it asks the registry or the collector, and these ask our store.
"""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary, multiprocess
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from telemetry import settings
from telemetry.metrics import values
from telemetry.metrics.definitions import DEFINITIONS
from telemetry.metrics.process import measure
from telemetry.metrics.slots import store
from telemetry.metrics.store import instance, parent_folder
from telemetry.metrics.text import clean

logger = logging.getLogger(__name__)


class OwnMetrics(Collector):
    """Keeps the names of our metrics from being taken twice, and shows them to whoever asks the
    registry's collectors one by one."""

    def describe(self) -> Iterable[Metric]:
        for definition in DEFINITIONS:
            yield Metric(definition.family, definition.documentation, definition.kind)

    def collect(self) -> Iterable[Metric]:
        names = {definition.family for definition in DEFINITIONS}
        return [family for family in shared() if family.name in names]


def shared() -> list[Metric]:
    """Every metric in our store, of all workers, and ``process_*``."""
    reconcile()
    found = instance.reader().metrics(exemplar_age=settings.get().EXEMPLAR_SECONDS)
    for definition, value in measure(instance):
        metric = Metric(definition.family, definition.documentation, definition.kind)
        metric.add_sample(definition.name, {}, value)
        found.append(metric)
    return found


def collected() -> Iterator[Metric]:
    """What the default registry collects: our store, and what computes its numbers itself."""
    original = CollectorRegistry.collect
    others = CollectorRegistry(target_info=REGISTRY.get_target_info())
    yield from original(others)
    theirs, names = computed_families()
    yield from (family for family in shared() if family.name not in names)
    yield from theirs


class _Restricted:
    """Some samples of the default registry."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)

    def collect(self) -> Iterator[Metric]:
        for family in collected():
            found = family._restricted_metric(self._names)  # type: ignore[no-untyped-call]  # noqa: SLF001
            if found:
                yield found


def install() -> None:
    with suppress(KeyError):
        REGISTRY.unregister(_own)
    REGISTRY.register(_own)
    # On the one object: other registries collect what is in them, in this process.
    for name, replaced in (("collect", collected), ("restricted_registry", _Restricted)):
        setattr(REGISTRY, name, replaced)
    multiprocess.MultiProcessCollector.collect = (  # type: ignore[method-assign]
        telemetry_patched_collect
    )
    # Without it the default registry would take the collector's first page for names that are
    # registered twice, and refuse a `MultiProcessCollector(REGISTRY)`.
    multiprocess.MultiProcessCollector.describe = (  # type: ignore[attr-defined]
        telemetry_patched_describe
    )


_files_of_prometheus_client = multiprocess.MultiProcessCollector.collect


def telemetry_patched_collect(collector: Any) -> Iterable[Metric]:
    """``MultiProcessCollector.collect``: of the folder that our own files are in, our values."""
    folder = Path(collector._path).resolve()  # noqa: SLF001
    ours = [one.resolve() for one in (parent_folder(), instance.folder) if one is not None]
    if folder in ours:
        return shared()
    found: Iterable[Metric] = _files_of_prometheus_client(collector)  # type: ignore[no-untyped-call]
    return found


def telemetry_patched_describe(_collector: Any) -> Iterable[Metric]:
    """``MultiProcessCollector.describe``: no names, as before the first process wrote a file."""
    return []


def computed() -> list[Collector]:
    """Collectors whose numbers are not in the store, of this process."""
    return [
        collector
        for collector in _collectors()
        if collector is not _own
        and not isinstance(collector, multiprocess.MultiProcessCollector)
        and (not isinstance(collector, Counter | Gauge | Histogram | Summary) or _calls(collector))
    ]


def computed_families() -> tuple[list[Metric], set[str]]:
    """What those collectors compute, and the names that our store shows nothing of.

    A collector that fails is left out, with a WARNING: it must not take the other metrics with it.
    """
    found: list[Metric] = []
    names: set[str] = set()
    for collector in computed():
        if isinstance(collector, MetricWrapperBase):
            # The store has slots for it as well, with values that nobody set.
            names.add(collector._name)  # noqa: SLF001
        try:
            families = [_with_clean_texts(family) for family in collector.collect()]
            names |= {family.name for family in families}
        except Exception:
            logger.warning("a collector failed: %r", collector, exc_info=True)
        else:
            found += families
    return found, names


def _with_clean_texts(family: Metric) -> Metric:
    """The same family with texts that can be encoded, as those in our store."""
    cleaned = copy.copy(family)
    cleaned.documentation = clean(family.documentation, sys.maxsize)
    cleaned.samples = [
        sample._replace(
            labels={name: clean(value, sys.maxsize) for name, value in sample.labels.items()}
        )
        for sample in family.samples
    ]
    return cleaned


def _collectors() -> list[Collector]:
    # The registry has no public way to its collectors; REGISTRY.collect() would format all.
    with REGISTRY._lock:  # noqa: SLF001
        return list(REGISTRY._collector_to_names)  # noqa: SLF001


def _calls(collector: Collector) -> bool:
    """Whether a gauge asks a function for its value (``set_function``)."""
    if not isinstance(collector, Gauge):
        return False
    children: list[MetricWrapperBase] = [collector, *_children(collector)]
    return any("_child_samples" in vars(child) for child in children)


# Which values the scrape shows

#: Values that are written to and not shown, by the name of their metric.
_hidden: dict[str, set[int]] = {}
#: What was compared last: the metric, its children, the values of its name, and of all times.
_compared: dict[str, tuple[int, ...]] = {}
#: Names of metrics that the default registry has or had.
_known: set[str] = set()


def reconcile() -> None:
    """Show the values of this process that the default registry shows, and hide the others.

    Hidden are those of a metric that was unregistered, of a child that was removed and is still
    held, and of another registry's metric of the same name. A metric that never was in the default
    registry is shown, as prometheus_client does with several processes.
    """
    registered = {
        collector._name: collector  # noqa: SLF001
        for collector in _collectors()
        if isinstance(collector, Counter | Gauge | Histogram | Summary)
    }
    for name, living in list(values.living.items()):
        metric = registered.get(name)
        children = 0 if metric is None else len(getattr(metric, "_metrics", ()))
        compared = (id(metric), children, len(living), values.made[name])
        if _compared.get(name) == compared:
            continue
        _compared[name] = compared
        if metric is not None:
            _known.add(name)
        elif name not in _known:
            continue
        _show_only(name, _slots(metric), living)


def _show_only(name: str, shown: set[int], living: set[int]) -> None:
    before = _hidden.get(name, set())
    hidden = living - shown
    if gone := hidden - before:
        store.hide(sorted(gone), hidden=True)
    if again := before & shown:
        store.hide(sorted(again), hidden=False)
    # Those of values that are gone as well: the next value in such a slot has to be shown again.
    _hidden[name] = (before - shown) | hidden


def _slots(metric: Any) -> set[int]:
    """The slots of a metric's values, and of its children's."""
    found: set[int] = set()
    for one in [metric, *_children(metric)] if metric is not None else []:
        slots = [value.own_slot for value in values.of(one)]
        found |= {slot for slot in slots if slot is not None}
    return found


def _children(metric: Any) -> list[Any]:
    return list(getattr(metric, "_metrics", {}).values())


_own = OwnMetrics()
