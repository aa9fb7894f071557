"""Our metrics in prometheus_client's default registry, and what else stands in it.

The scrape shows every metric of prometheus_client's own classes from our store, summed over all
workers. What computes its numbers when it is asked (custom collectors, ``Info``, ``Enum``,
``Gauge.set_function``) has none there: it is shown as it is in the process that answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from prometheus_client import Counter, Gauge, Histogram, Summary
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import REGISTRY, Collector

from telemetry.metrics.definitions import DEFINITIONS
from telemetry.metrics.store import instance


class OwnMetrics(Collector):
    """Keeps the names of our metrics from being taken twice, and shows them to whoever asks the
    registry itself."""

    def describe(self) -> Iterable[Metric]:
        for definition in DEFINITIONS:
            yield Metric(definition.family, definition.documentation, definition.kind)

    def collect(self) -> Iterable[Metric]:
        text, _ = instance.reader().read(openmetrics=False, exemplar_age=0)
        names = {definition.family for definition in DEFINITIONS}
        for family in text_string_to_metric_families(text):
            if family.name in names:
                yield family


def install() -> None:
    with suppress(KeyError):
        REGISTRY.unregister(_own)
    REGISTRY.register(_own)


def computed() -> list[Collector]:
    """Collectors whose numbers are not in the store, of this process."""
    # The registry has no public way to its collectors; REGISTRY.collect() would format all.
    with REGISTRY._lock:  # noqa: SLF001
        collectors = list(REGISTRY._collector_to_names)  # noqa: SLF001
    return [
        collector
        for collector in collectors
        if collector is not _own
        and (not isinstance(collector, Counter | Gauge | Histogram | Summary) or _calls(collector))
    ]


def _calls(collector: Collector) -> bool:
    """Whether a gauge asks a function for its value (``set_function``)."""
    if not isinstance(collector, Gauge):
        return False
    children: list[MetricWrapperBase] = [collector, *getattr(collector, "_metrics", {}).values()]
    return any("_child_samples" in vars(child) for child in children)


_own = OwnMetrics()
