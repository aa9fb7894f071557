"""All series of an instance: what the slots of its processes mean together.

Why it is written as it is: a scrape of 8 processes and 8,000 lines has a hundredth of a second.
Names are parsed once, when they are new. Values are added as whole columns: one `itemgetter` for
each process brings its slots into the order of the rows, another the sums into that of the lines.

Some processes at once are added to a running total, so that memory holds the numbers of these, not
of all: 32 bytes for each number of each (one at a time, a scrape of 8 processes took 1 ms of 10
more). When any number changed all are read again: to keep the column of each process would save
that for those that are idle, and cost 40 bytes for each number of each process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Any
from weakref import WeakKeyDictionary

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar

from telemetry.metrics.directory import Exemplars, Hidden, Series
from telemetry.metrics.families import Child, Family, Labels
from telemetry.metrics.slots import OVERFLOW, overflow
from telemetry.metrics.sources import COUNTS, GAUGES, KINDS, SUMS, Source, Told

#: Numbers of one process.
Column = tuple[float, ...]
#: Processes whose numbers are in memory at once: 8 workers, their master, the remainder.
_AT_ONCE = 10


def _nobody_counts(metric: str) -> None:
    """Until somebody connects a counter."""


class Table:
    """Families of series, filled from sources."""

    def __init__(self, series_limit: int = 5000) -> None:
        #: By name and kind: two libraries, or two registries, may use one name for two things.
        self.families: dict[tuple[str, str], Family] = {}
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
        self.now: Sequence[float] = ()
        #: Of each kind of numbers: rows that a twin stands for, and how many rows there are.
        self._twins: list[dict[int, int]] = [{} for _ in KINDS]
        #: How many twins of a row each source has series in.
        self._used_twins: WeakKeyDictionary[Source, dict[tuple[int, int], int]] = (
            WeakKeyDictionary()
        )
        self._rows = [0] * len(KINDS)
        self._changed = False
        #: Slots that a process took out of the scrape, with the kind and row that they had.
        self._hidden: dict[Source, dict[int, tuple[int, int]]] = {}
        #: Rows of counts that no process has a value for, as far as that was asked for.
        self._empty: set[int] = set()
        #: Brings the totals into the order of the lines.
        self._arrange: itemgetter[Any] = itemgetter(0, 0)
        #: What the numbers are of.
        self._sources: list[Source] = []
        #: One object for each number of a slot, which the sources share.
        self._shared: dict[int, int] = {}

    # Names

    def learn(self, source: Source, names: Iterable[Told], others: Iterable[Source] = ()) -> None:
        """Learn what names of ``source`` tell. What ``others`` know as well is kept once."""
        exemplars: dict[int, Exemplars] = {}
        for told in names:
            if isinstance(told, Exemplars):
                exemplars[told.value_slot] = told
            elif isinstance(told, Hidden):
                self._hide(source, told)
            else:
                self._add(source, *told)
        source.settle(others)
        if exemplars:
            source.learn_exemplars(list(self._placed(source, exemplars)))

    def _placed(
        self, source: Source, exemplars: dict[int, Exemplars]
    ) -> Iterator[tuple[int, int, int]]:
        """The row of each, the slot of its time, and its room."""
        for slot, row in source.rows(exemplars.keys()):
            time_slot = exemplars[slot].slot + 1
            yield (
                self._twins[COUNTS].get(row, row),
                self._shared.setdefault(time_slot, time_slot),
                exemplars[slot].room,
            )

    def _hide(self, source: Source, told: Hidden) -> None:
        hidden = self._hidden.setdefault(source, {})
        if told.hidden:
            hidden |= {slot: (kind, row) for kind, row, slot in source.forget(set(told.slots))}
        else:
            for slot in told.slots:
                if slot in hidden:
                    source.learn(*hidden.pop(slot), slot)
        self._changed = True

    def _add(self, source: Source, slot: int, series: Series) -> None:
        """Learn that ``source`` has a series from ``slot`` on."""
        family = self.families.get((series.family, series.kind))
        if family is None:
            family = Family(series.family, series.kind, series.mode, series.documentation)
            self.families[series.family, series.kind] = family
        child = self._child(family, series)
        if series.bounds:
            keys: Iterable[str] = ("_sum", *series.bounds)
        elif series.suffix == "_bucket":
            keys = (series.label_values[-1],)
        elif series.slots == 2:
            keys = (series.suffix, "time")
        else:
            keys = (series.suffix,)
        for place, key in enumerate(keys, slot):
            kind = GAUGES if family.kind == "gauge" else SUMS if key == "_sum" else COUNTS
            row = self._row(source, child, key, kind)
            source.learn(kind, row, self._shared.setdefault(place, place))

    def _row(self, source: Source, child: Child, key: str, kind: int) -> int:
        row = child.rows.get(key)
        if row is None:
            row = child.rows[key] = self._new_row(kind)
        if not source.slot(kind, row):
            return row
        # Past the bound, several series of one process are one.
        twins = child.twins.setdefault(key, [])
        # A process takes them in their order: looking at all of them each time took seconds of a
        # scrape with thousands of such series.
        used = self._used_twins.setdefault(source, {})
        first = used.get((kind, row), 0)
        used[kind, row] = first + 1
        if first < len(twins) and not source.slot(kind, twins[first]):
            return twins[first]
        twin = self._new_row(kind)
        twins.append(twin)
        self._twins[kind][twin] = row
        return twin

    def _new_row(self, kind: int) -> int:
        self._changed = True
        self._rows[kind] += 1
        return self._rows[kind] - 1

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

    # Numbers

    def update(
        self, sources: list[Source], see_exemplars: Callable[[Source], None] | None = None
    ) -> None:
        """Take the numbers of the sources, and show each that is new to ``see_exemplars``."""
        if self._changed:
            self._lay_out()
            self._changed = False
            self._hidden = {one: gone for one, gone in self._hidden.items() if one in sources}
        elif self._sources == sources and not any(
            self._is_new(source, exemplars=see_exemplars is not None) for source in sources
        ):
            return
        self._sources = sources
        counts: list[float] = []
        sums: list[float] = []
        unset: dict[Source, set[int]] = {}
        for some in (sources[at : at + _AT_ONCE] for at in range(0, len(sources), _AT_ONCE)):
            columns: list[list[Column]] = [[], []]
            for source in some:
                source.take(self.unreadable)
                columns[COUNTS].append(self._counts(source, unset))
                columns[SUMS].append(self._sums(source))
                source.count_gauges()
                if see_exemplars:
                    see_exemplars(source)
                source.drop()
            counts = _added(self._rows[COUNTS], counts, columns[COUNTS])
            sums = _added(self._rows[SUMS], sums, columns[SUMS])
        for totals, twins in ((counts, self._twins[COUNTS]), (sums, self._twins[SUMS])):
            for twin, row in twins.items():
                totals[row] += totals[twin]
        if self._hidden or self._empty or unset:
            self._leave_out_empty(sources, unset)
        self.now = self._arrange([*counts, *sums, 0.0])

    def _leave_out_empty(self, sources: list[Source], unset: dict[Source, set[int]]) -> None:
        """Lay out without the children that no process has a value for."""
        asked = set().union(self._empty, *unset.values())
        for gone in self._hidden.values():
            asked |= {row for kind, row in gone.values() if kind == COUNTS}
        empty = {
            row
            for row in asked
            if not any(
                source.slot(COUNTS, row) and row not in unset.get(source, ()) for source in sources
            )
        }
        if empty != self._empty:
            self._empty = empty
            self._lay_out()

    def _is_new(self, source: Source, *, exemplars: bool) -> bool:
        source.take(self.unreadable)
        source.drop()
        return source.is_new(exemplars=exemplars)

    def _lay_out(self) -> None:
        # Of counts and then sums, as they stand behind one another.
        order: list[int] = []
        sums: list[Child] = []
        families = [self.families[key] for key in sorted(self.families)]
        # Of one name only the first kind that has values is shown, a gauge last.
        named: set[str] = set()
        for family in families:
            family.look_at_names()
        self.gauges = [family for family in families if family.kind == "gauge"]
        self.summed = [family for family in families if family.kind != "gauge"]
        for family in self.summed:
            family.start = len(order)
            for child in family.children.values():
                keys = [
                    key for key in child.rows if key != "_sum" and not self._is_empty(child, key)
                ]
                child.hidden = not keys or family.name in named
                child.keys = [] if child.hidden else sorted(keys, key=_place)
                child.sum = -1
                child.start = len(order)
                order += [child.rows[key] for key in child.keys]
                child.stop = len(order)
                if "_sum" in child.rows and not child.hidden:
                    sums.append(child)
            family.stop = len(order)
            if family.shown():
                named.add(family.name)
        for child in sums:
            child.sum = len(order)
            order.append(self._rows[COUNTS] + child.rows["_sum"])
        # Two more than needed: an itemgetter of one item gives no tuple.
        self._arrange = itemgetter(*order, -1, -1)
        self.layout += 1

    def _is_empty(self, child: Child, key: str) -> bool:
        """Whether no process has a value for it, nor for the rows that stand for it."""
        return bool(self._empty) and self._empty.issuperset(
            [child.rows[key], *child.twins.get(key, ())]
        )

    def _counts(self, source: Source, unset: dict[Source, set[int]]) -> Column:
        """The counts of a process. A negative one is damage; an infinity or a NaN was counted.

        Rows for which the process has no value any more are added to ``unset``.
        """
        column = source.count(COUNTS)
        if column is source.sound:
            return column
        if min(column, default=0.0) >= 0 and math.isfinite(sum(column)):
            if source.lasts:
                source.sound = column
            return column
        kept = list(column)
        for row, value in enumerate(column):
            if 0 <= value < math.inf:
                continue
            if source.is_unset(COUNTS, row):
                kept[row] = 0.0
                unset.setdefault(source, set()).add(row)
            elif source.is_damaged(COUNTS, row):
                kept[row] = 0.0
                self.unreadable(source)
        return tuple(kept)

    def _sums(self, source: Source) -> Column:
        column = source.count(SUMS)
        total = sum(column)
        if total == total:  # noqa: PLR0124  NaN
            return column
        return tuple(
            value if value == value or not source.is_unset(SUMS, row) else 0.0  # noqa: PLR0124
            for row, value in enumerate(column)
        )

    # What is merged otherwise than by a sum

    def gauge(self, family: Family, sources: list[Source]) -> Iterator[tuple[Labels, float]]:
        """The values of a gauge, merged as its mode says."""
        mode = family.mode.removeprefix("live")
        live = family.mode != mode or mode in {"all", ""}
        asked = [source for source in sources if source.alive or not live]
        for child in family.children.values():
            rows = [child.rows.get("", -1), *child.twins.get("", ())]
            time_row = child.rows.get("time", -1)
            found = [
                (value, source)
                for source in asked
                for row in rows
                if (value := source.gauge(row)) is not None
            ]
            if not found:
                continue
            numbers = [value for value, _ in found]
            # Of a maximum or minimum a NaN takes no part, but where there is nothing else.
            comparable = [value for value in numbers if value == value] or numbers  # noqa: PLR0124
            if mode == "sum":
                yield child.labels, sum(numbers)
            elif mode == "max":
                yield child.labels, max(comparable)
            elif mode == "min":
                yield child.labels, min(comparable)
            elif mode == "mostrecent":
                newest = max(found, key=lambda one: one[1].gauge(time_row) or 0.0)
                yield child.labels, newest[0]
            elif len(sources) == 1 and not sources[0].process:
                yield child.labels, numbers[0]
            else:
                # Two labels of one name would cost the scrape.
                others = [label for label in child.labels if label[0] != "pid"]
                each = {source: value for value, source in found}
                for source, value in each.items():
                    yield tuple(sorted([*others, ("pid", source.process)])), value

    # What a remainder keeps

    def sums(self) -> Iterator[tuple[Series, list[float]]]:
        """Every summed series with its numbers."""
        for family in self.summed:
            for child in family.shown():
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
                times = [source.gauge(time_row) or 0.0 for source in sources]
                yield series, [value, max(times, default=0.0)][: series.slots]

    # What only prometheus_client's encoders can write

    def quoted(self, sources: list[Source]) -> Iterator[Metric]:
        """The families whose names need quoting."""
        return self._metrics([one for one in self._all() if not one.plain], sources, {})

    def metrics(self, sources: list[Source], exemplars: dict[int, Exemplar]) -> Iterator[Metric]:
        """Every family that has series as prometheus_client's collectors give it."""
        return self._metrics(self._all(), sources, exemplars)

    def _all(self) -> list[Family]:
        return [*self.summed, *self.gauges]

    def _metrics(
        self, families: list[Family], sources: list[Source], exemplars: dict[int, Exemplar]
    ) -> Iterator[Metric]:
        named: set[str] = set()
        for family in families:
            try:
                metric = self._metric(family, sources, exemplars)
            except ValueError:
                # A name that prometheus_client takes for none; the other families are shown.
                continue
            if metric.samples and family.name not in named:
                named.add(family.name)
                yield metric

    def _metric(
        self, family: Family, sources: list[Source], exemplars: dict[int, Exemplar]
    ) -> Metric:
        metric = Metric(family.name, family.documentation, family.kind)
        if family.kind == "gauge":
            for found, value in self.gauge(family, sources):
                metric.add_sample(family.name, dict(found), value)
        else:
            for child in family.shown():
                labels = dict(child.labels)
                numbers = self.now[child.start : child.stop]
                if family.kind == "histogram":
                    numbers = list(accumulate(numbers))
                    for bound, value in zip(child.keys, numbers, strict=True):
                        metric.add_sample(
                            f"{family.name}_bucket",
                            {**labels, "le": bound},
                            value,
                            exemplar=exemplars.get(child.rows[bound]),
                        )
                    metric.add_sample(f"{family.name}_count", labels, max(numbers, default=0.0))
                else:
                    for suffix, value in zip(child.keys, numbers, strict=True):
                        exemplar = exemplars.get(child.rows[suffix])
                        metric.add_sample(family.name + suffix, labels, value, exemplar=exemplar)
                if child.sum >= 0:
                    metric.add_sample(f"{family.name}_sum", labels, self.now[child.sum])
        return metric


def _added(rows: int, totals: list[float], columns: list[Column]) -> list[float]:
    """A column is shorter where a process has no more, and may be longer by a row that is none."""
    filled = [one + (0.0,) * (rows - len(one)) if len(one) < rows else one for one in columns]
    summed = zip(totals, *filled, strict=False) if totals else zip(*filled, strict=False)
    totals = list(map(sum, summed))
    return totals[:rows]


def _place(key: str) -> tuple[int, float]:
    """Buckets by their bound, then what has a suffix."""
    return (1, 0.0) if key[:1] in {"", "_"} else (0, float(key))
