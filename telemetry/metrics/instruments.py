"""How a metric is made: ``counter``, ``gauge`` and ``histogram``.

They are prometheus_client's own classes; their values live in our store, summed over all workers
of an instance (see ``telemetry.metrics.values``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from telemetry.metrics import values

# A settings file may make metrics, before Django knows its apps.
values.install()

#: How a gauge of several workers becomes one number.
Merge = Literal["sum", "max"]


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A number that only grows, summed over all workers.

    ``name`` ends in ``_total``. Labels must have few and bounded values: each combination is a
    series for ever. Raises ValueError for a wrong or repeated name.
    """
    if not name.endswith("_total"):
        raise ValueError(f"the name of a counter ends in _total: {name}")
    return Counter(name, documentation, labels)


def gauge(
    name: str, documentation: str, labels: Sequence[str] = (), *, merge: Merge = "sum"
) -> Gauge:
    """A number that goes up and down, of the living workers: their sum or their maximum."""
    return Gauge(
        name, documentation, labels, multiprocess_mode="livesum" if merge == "sum" else "livemax"
    )


def histogram(
    name: str, documentation: str, labels: Sequence[str] = (), *, buckets: Sequence[float]
) -> Histogram:
    """A distribution, in base units (seconds, bytes), with upper bounds that rise."""
    return Histogram(name, documentation, labels, buckets=buckets)
