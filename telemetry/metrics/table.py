"""All series of an instance: what the slots of its processes mean together.

Why it is written as it is: a scrape of 8 processes and 8,000 lines has a hundredth of a second.
Names are parsed once, when they are new. Values are added as whole columns: one `itemgetter` for
each process brings its slots into the order of the lines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter

from prometheus_client.metrics_core import Metric

from telemetry.metrics.directory import Exemplars, Series
from telemetry.metrics.families import Child, Family, Labels
from telemetry.metrics.slots import OVERFLOW, ZERO, overflow
from telemetry.metrics.sources import Source

#: Numbers of one process, or of several together.
Column = Sequence[float]


def _nobody_counts(metric: str) -> None:
    """Until somebody connects a counter."""


class Table:
    """Families of series, filled from sources."""

    def __init__(self, series_limit: int = 5000) -> None:
        self.families: dict[str, Family] = {}
        self.series_limit = series_limit
        self.unreadable: Callable[[Source], None] = lambda _source: None
        #: Told about each series past the bound.
        self.count_dropped: Callable[[str], None] = _nobody_counts
        #: Grows whenever the columns are laid out anew.
        self.layout = 0
        #: By name: what is merged by a sum, and what is not.
        self.summed: list[Family] = []
        self.gauges: list[Family] = []
        #: The sums, by column.
        self.now: list[float] = []
        #: Rows that a twin stands for, and how many rows there are.
        self.twin_of: dict[int, int] = {}
        self._rows = 0
        self._changed = False
        #: The row of each column: first those that cannot be negative.
        self._order: list[int] = []
        self._never_negative = 0
        self._twin_columns: list[tuple[int, int]] = []
        self._columns: list[Column] = []
        self._still: list[Column] = []
        self._still_sum: Column = ()

    # Names

    def add(self, source: Source, slot: int, series: Series) -> None:
        """Learn that ``source`` has a series from ``slot`` on."""
        family = self.families.get(series.family)
        if family is None:
            family = Family(series.family, series.kind, series.mode, series.documentation)
            self.families[series.family] = family
        elif family.kind != series.kind:
            # Two libraries use one name for two things: the first that was seen is shown.
            return
        child = self._child(family, series)
        if series.bounds:
            keys: Iterable[str] = ("_sum", *series.bounds)
        elif series.suffix == "_bucket":
            keys = (series.label_values[-1],)
        elif series.slots == 2:
            keys = (series.suffix, "time")
        else:
            keys = (series.suffix,)
        for key in keys:
            row = self._row(source, child, key)
            source.slots[row] = slot
            source.rows[slot] = row
            slot += 1
        source.getter = None

    def _row(self, source: Source, child: Child, key: str) -> int:
        row = child.rows.get(key)
        if row is None:
            row = child.rows[key] = self._new_row()
        if row not in source.slots:
            return row
        # Past the bound, several series of one process are one.
        twins = child.twins.setdefault(key, [])
        for twin in twins:
            if twin not in source.slots:
                return twin
        twin = self._new_row()
        twins.append(twin)
        self.twin_of[twin] = row
        return twin

    def _new_row(self) -> int:
        self._changed = True
        self._rows += 1
        return self._rows - 1

    def _child(self, family: Family, series: Series) -> Child:
        names, values = series.label_names, series.label_values
        if series.suffix == "_bucket":
            names, values = names[:-1], values[:-1]
        labels = tuple(sorted(zip(names, values, strict=True)))
        child = family.children.get(labels)
        if child is None:
            full = len(family.children) > self.series_limit
            if full and labels and set(values) != {OVERFLOW}:
                self.count_dropped(family.name + ("_total" if family.kind == "counter" else ""))
                return self._child(family, overflow(series))
            child = family.children[labels] = Child(labels)
        return child

    def add_exemplars(self, source: Source, place: Exemplars) -> None:
        row = source.rows.get(place.value_slot)
        if row is not None:
            source.keep_exemplars(row, place)

    # Numbers

    def update(self, sources: list[Source]) -> None:
        """Take the numbers that the sources have read."""
        if self._changed:
            self._lay_out()
            self._changed = False
            for source in sources:
                source.getter = None
        columns = [self._column(source) for source in sources]
        before = set(map(id, self._columns))
        still = [column for column in columns if id(column) in before]
        if len(still) == len(columns) == len(before):
            return
        self._columns = columns
        if len(still) > 1:
            # What the dead left, and idle processes: added up once for as long as they stay so.
            if list(map(id, still)) != list(map(id, self._still)):
                self._still, self._still_sum = still, _sums(still)
            columns = [self._still_sum, *(one for one in columns if id(one) not in before)]
        self.now = _sums(columns)
        for column, twin in self._twin_columns:
            self.now[column] += self.now[twin]

    def _lay_out(self) -> None:
        order: list[int] = []
        sums: list[Child] = []
        families = [self.families[name] for name in sorted(self.families)]
        for family in families:
            family.look_at_names()
        self.gauges = [family for family in families if family.kind == "gauge"]
        self.summed = [family for family in families if family.kind != "gauge"]
        for family in self.summed:
            family.start = len(order)
            for child in family.children.values():
                child.keys = sorted(child.rows.keys() - {"_sum"}, key=_place)
                child.start = len(order)
                order += [child.rows[key] for key in child.keys]
                child.stop = len(order)
                if "_sum" in child.rows:
                    sums.append(child)
            family.stop = len(order)
        self._never_negative = len(order)
        for child in sums:
            child.sum = len(order)
            order.append(child.rows["_sum"])
        column_of = {row: column for column, row in enumerate(order)}
        self._twin_columns = []
        for twin, row in self.twin_of.items():
            if row in column_of:
                self._twin_columns.append((column_of[row], len(order)))
                order.append(twin)
        self._order = order
        self._columns = []
        self.layout += 1

    def _column(self, source: Source) -> Column:
        if source.getter is None:
            # Two more slots than needed: an itemgetter of one item gives no tuple.
            slots = [source.slots.get(row, ZERO) for row in self._order]
            source.getter = itemgetter(*slots, ZERO, ZERO)
            source.column = None
        column = source.column
        if column is None:
            column = source.getter(source.values)
            counts = column[: self._never_negative]
            if min(counts, default=0.0) < 0 or not math.isfinite(sum(column)):
                column = self._without_damage(source, column)
            source.column = column
        return column

    def _without_damage(self, source: Source, column: tuple[float, ...]) -> tuple[float, ...]:
        """Sums may be anything; what counts is never negative, infinite or no number."""
        kept = list(column)
        for place, value in enumerate(column[: self._never_negative]):
            if not 0 <= value < math.inf:
                kept[place] = 0.0
                self.unreadable(source)
        return tuple(kept)

    # What is merged otherwise than by a sum

    def gauge(self, family: Family, sources: list[Source]) -> Iterator[tuple[Labels, float]]:
        """The values of a gauge, merged as its mode says."""
        mode = family.mode.removeprefix("live")
        live = family.mode != mode or mode in {"all", ""}
        asked = [source for source in sources if source.alive or not live]
        for child in family.children.values():
            row, time_row = child.rows.get("", -1), child.rows.get("time", -1)
            found = [
                (value, source)
                for source in asked
                if row in source.slots and (value := source.values[source.slots[row]]) == value
            ]
            if not found:
                continue
            numbers = [value for value, _ in found]
            if mode == "sum":
                yield child.labels, sum(numbers)
            elif mode == "max":
                yield child.labels, max(numbers)
            elif mode == "min":
                yield child.labels, min(numbers)
            elif mode == "mostrecent":
                newest = max(found, key=lambda one: one[1].values[one[1].slots[time_row]])
                yield child.labels, newest[0]
            elif len(sources) == 1 and not sources[0].process:
                yield child.labels, numbers[0]
            else:
                for value, source in found:
                    yield tuple(sorted([*child.labels, ("pid", source.process)])), value

    # What a remainder keeps

    def sums(self) -> Iterator[tuple[Series, list[float]]]:
        """Every summed series with its numbers."""
        for family in self.summed:
            for child in family.children.values():
                numbers = self.now[child.start : child.stop]
                sums = [self.now[child.sum]] if child.sum >= 0 else []
                if family.kind == "histogram":
                    if child.keys:
                        series = family.series(child.labels)._replace(bounds=tuple(child.keys))
                        yield series, [*(sums or [0.0]), *numbers]
                    continue
                for suffix, value in zip(child.keys, numbers, strict=True):
                    yield family.series(child.labels, suffix), [value]
                for value in sums:
                    yield family.series(child.labels, "_sum"), [value]

    def kept_gauges(self, sources: list[Source]) -> Iterator[tuple[Series, list[float]]]:
        """Gauges that outlive their process."""
        for family in self.gauges:
            if family.mode not in {"sum", "max", "min", "mostrecent"}:
                continue
            for labels, value in self.gauge(family, sources):
                series = family.series(labels)
                time_row = family.children[labels].rows.get("time", -1)
                times = [
                    source.values[source.slots[time_row]]
                    for source in sources
                    if time_row in source.slots
                ]
                yield series, [value, max(times, default=0.0)][: series.slots]

    # What only prometheus_client's encoders can write

    def quoted(self, sources: list[Source]) -> Iterator[Metric]:
        """The families whose names need quoting."""
        for family in self.summed:
            if family.plain:
                continue
            metric = Metric(family.name, family.documentation, family.kind)
            for child in family.children.values():
                labels = dict(child.labels)
                numbers = self.now[child.start : child.stop]
                if family.kind == "histogram":
                    numbers = list(accumulate(numbers))
                    for bound, value in zip(child.keys, numbers, strict=True):
                        metric.add_sample(f"{family.name}_bucket", {**labels, "le": bound}, value)
                    metric.add_sample(f"{family.name}_count", labels, max(numbers, default=0.0))
                else:
                    for suffix, value in zip(child.keys, numbers, strict=True):
                        metric.add_sample(family.name + suffix, labels, value)
                if child.sum >= 0:
                    metric.add_sample(f"{family.name}_sum", labels, self.now[child.sum])
            yield metric
        for family in self.gauges:
            if not family.plain:
                metric = Metric(family.name, family.documentation, "gauge")
                for found, value in self.gauge(family, sources):
                    metric.add_sample(family.name, dict(found), value)
                yield metric


def _sums(columns: list[Column]) -> list[float]:
    return list(columns[0]) if len(columns) == 1 else list(map(sum, zip(*columns, strict=True)))


def _place(key: str) -> tuple[int, float]:
    """Buckets by their bound, then what has a suffix."""
    return (1, 0.0) if key[:1] in {"", "_"} else (0, float(key))
