"""All series of an instance: what the processes' slots mean together, and the text of a scrape.

Why it is written as it is: a scrape of 8 processes and 5,000 lines has a hundredth of a second.
Names are parsed once, when they are new. Values are added as whole columns (one `itemgetter` for
each process brings its slots into the order of the lines), and a line is formatted again only
when its number changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from operator import itemgetter

from prometheus_client.metrics_core import Metric

from telemetry.metrics.directory import Exemplars, Series
from telemetry.metrics.slots import OVERFLOW, ZERO, overflow
from telemetry.metrics.sources import Source
from telemetry.metrics.text import PLAIN_NAME, head, label_text, number

Labels = tuple[tuple[str, str], ...]
#: Seconds since the epoch, value, labels as text.
Exemplar = tuple[float, float, str]


class Child:
    """One labelled child of a metric: a counter's number, or all numbers of a histogram."""

    __slots__ = ("exemplars", "keys", "labels", "oldest", "rows", "start", "stop", "template")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        #: Suffix, or upper bound of a bucket, to its row.
        self.rows: dict[str, int] = {}
        #: The keys in the order of the lines.
        self.keys: list[str] = []
        self.start = self.stop = 0
        self.template = ""
        #: Bound or suffix to its newest exemplar.
        self.exemplars: dict[str, Exemplar] = {}
        self.oldest = math.inf


class Family:
    """One metric."""

    def __init__(self, name: str, kind: str, mode: str, documentation: str) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.documentation = documentation
        self.children: dict[Labels, Child] = {}
        #: Whether its names need no quoting; prometheus_client's encoders know how to quote.
        self.plain = True
        self.start = self.stop = 0
        #: A cached text for each child, without and with exemplars.
        self.lines: list[str] = []
        self.with_exemplars: dict[int, str] = {}

    def head(self, *, openmetrics: bool) -> str:
        return head(self.name, self.kind, self.documentation, openmetrics=openmetrics)


class Table:
    """Families of series, filled from sources."""

    def __init__(self, series_limit: int = 5000) -> None:
        self.families: dict[str, Family] = {}
        self.series_limit = series_limit
        self.unreadable: Callable[[Source], None] = lambda _source: None
        self._rows: list[tuple[Family, Child, str]] = []
        self._changed = False
        self._order: list[int] = []
        self._summed: list[Family] = []
        self._gauges: list[Family] = []
        #: Numbers in the order of the lines, now and when the texts were made.
        self._now: list[float] = []
        self._formatted: list[float] = []

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
            row = child.rows.get(key)
            if row is None:
                row = child.rows[key] = len(self._rows)
                self._rows.append((family, child, key))
                self._changed = True
            source.slots[row] = slot
            source.rows[slot] = row
            slot += 1
        source.getter = None

    def _child(self, family: Family, series: Series) -> Child:
        names, values = series.label_names, series.label_values
        if series.suffix == "_bucket":
            names, values = names[:-1], values[:-1]
        labels = tuple(sorted(zip(names, values, strict=True)))
        child = family.children.get(labels)
        if child is None:
            full = len(family.children) > self.series_limit
            if full and labels and set(values) != {OVERFLOW}:
                return self._child(family, overflow(series))
            child = family.children[labels] = Child(labels)
        return child

    def add_exemplars(self, source: Source, place: Exemplars) -> None:
        row = source.rows.get(place.value_slot)
        if row is not None:
            source.exemplars[row] = place

    # Numbers

    def update(self, sources: list[Source]) -> None:
        """Take the numbers that the sources have read."""
        if self._changed:
            self._lay_out()
            self._changed = False
            for source in sources:
                source.getter = None
        columns = [self._column(source) for source in sources]
        if len(columns) == 1:
            self._now = list(columns[0])
        else:
            self._now = list(map(sum, zip(*columns, strict=True)))

    def _lay_out(self) -> None:
        order: list[int] = []
        self._summed, self._gauges = [], []
        for name in sorted(self.families):
            family = self.families[name]
            family.plain = _plain(family)
            if family.kind == "gauge":
                self._gauges.append(family)
                continue
            self._summed.append(family)
            family.start = len(order)
            for child in family.children.values():
                child.keys = sorted(child.rows, key=_place)
                child.start = len(order)
                order += [child.rows[key] for key in child.keys]
                child.stop = len(order)
                child.template = _template(family, child)
            family.stop = len(order)
            family.lines = []
            family.with_exemplars = {}
        self._order = order
        self._formatted = []

    def _column(self, source: Source) -> tuple[float, ...]:
        if source.getter is None:
            # Two more slots than needed: an itemgetter of one item gives no tuple.
            slots = [source.slots.get(row, ZERO) for row in self._order]
            source.getter = itemgetter(*slots, ZERO, ZERO)
            source.column = None
        column = source.column
        if column is None:
            column = source.getter(source.values)
            if not math.isfinite(sum(column)) or min(column) < 0:
                column = self._without_damage(source, column)
            source.column = column
            self._take_exemplars(source)
        return column

    def _without_damage(self, source: Source, column: tuple[float, ...]) -> tuple[float, ...]:
        """Sums may be anything; what counts is never negative, infinite or no number."""
        kept = list(column)
        for place, row in enumerate(self._order):
            value = kept[place]
            if not 0 <= value < math.inf and self._rows[row][2] != "_sum":
                kept[place] = 0.0
                self.unreadable(source)
        return tuple(kept)

    def _take_exemplars(self, source: Source) -> None:
        for row, place in source.exemplars.items():
            time = source.values[place.slot + 1]
            if time == source.exemplar_times.get(row):
                continue
            found = source.exemplar(place)
            if found is None:
                continue
            source.exemplar_times[row] = time
            family, child, key = self._rows[row]
            known = child.exemplars.get(key)
            if known is None or known[0] < found[0]:
                child.exemplars[key] = found
                child.oldest = min(child.oldest, found[0])
                family.with_exemplars.pop(child.start, None)

    # Text

    def text(
        self, sources: list[Source], *, openmetrics: bool, newer_than: float, leave_out: set[str]
    ) -> str:
        """Every family whose names are plain, but those to leave out."""
        self._format()
        parts = []
        for family in self._summed:
            if family.name in leave_out or not family.plain:
                continue
            parts.append(family.head(openmetrics=openmetrics))
            if openmetrics:
                parts += self._lines_with_exemplars(family, newer_than)
            else:
                parts += family.lines
        for family in self._gauges:
            if family.name not in leave_out and family.plain:
                parts.append(family.head(openmetrics=openmetrics))
                parts += [
                    f"{family.name}{_braces(labels)} {number(value)}\n"
                    for labels, value in self.gauge(family, sources)
                ]
        return "".join(parts)

    def _format(self) -> None:
        """Make the texts again whose numbers changed."""
        now, before = self._now, self._formatted
        if now == before:
            return
        for family in self._summed:
            start, stop = family.start, family.stop
            if before and now[start:stop] == before[start:stop]:
                continue
            fresh = not before or not family.lines
            for place, child in enumerate(family.children.values()):
                numbers = now[child.start : child.stop]
                if fresh:
                    family.lines.append(_lines(family, child, numbers))
                elif numbers != before[child.start : child.stop]:
                    family.lines[place] = _lines(family, child, numbers)
                    family.with_exemplars.pop(child.start, None)
        self._formatted = now

    def _lines_with_exemplars(self, family: Family, newer_than: float) -> Iterator[str]:
        for child, plain_lines in zip(family.children.values(), family.lines, strict=True):
            if not child.exemplars:
                yield plain_lines
                continue
            if child.oldest < newer_than:
                child.exemplars = {
                    key: found for key, found in child.exemplars.items() if found[0] >= newer_than
                }
                child.oldest = min(
                    (found[0] for found in child.exemplars.values()), default=math.inf
                )
                family.with_exemplars.pop(child.start, None)
            text = family.with_exemplars.get(child.start)
            if text is None:
                lines = plain_lines.split("\n")
                for place, key in enumerate(child.keys):
                    if found := child.exemplars.get(key):
                        time, value, labels = found
                        lines[place] += f" # {{{labels}}} {value!r} {time:.3f}"
                text = family.with_exemplars[child.start] = "\n".join(lines)
            yield text

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

    def sums(self) -> Iterator[tuple[Series, list[float]]]:
        """Every summed series with its numbers, as a remainder keeps them."""
        for family in self._summed:
            for child in family.children.values():
                names, values = _split(child.labels)
                numbers = dict(zip(child.keys, self._now[child.start : child.stop], strict=True))
                if family.kind == "histogram":
                    sum_ = numbers.pop("_sum", 0.0)
                    series = _series(family, "", names, values)._replace(bounds=tuple(numbers))
                    if series.bounds:
                        yield series, [sum_, *numbers.values()]
                    continue
                for suffix, value in numbers.items():
                    yield _series(family, suffix, names, values), [value]

    def quoted(self, sources: list[Source]) -> Iterator[Metric]:
        """The families whose names need quoting, for prometheus_client's encoders."""
        for family in self._summed:
            if family.plain:
                continue
            metric = Metric(family.name, family.documentation, family.kind)
            for child in family.children.values():
                total = 0.0
                for key, value in zip(child.keys, self._now[child.start : child.stop], strict=True):
                    if key.startswith("_"):
                        metric.add_sample(family.name + key, dict(child.labels), value)
                        continue
                    total += value
                    bucket = {**dict(child.labels), "le": key}
                    metric.add_sample(f"{family.name}_bucket", bucket, total)
                if family.kind == "histogram":
                    metric.add_sample(f"{family.name}_count", dict(child.labels), total)
            yield metric
        for family in self._gauges:
            if not family.plain:
                metric = Metric(family.name, family.documentation, "gauge")
                for labels, value in self.gauge(family, sources):
                    metric.add_sample(family.name, dict(labels), value)
                yield metric

    def kept_gauges(self, sources: list[Source]) -> Iterator[tuple[Series, list[float]]]:
        """Gauges that outlive their process, as a remainder keeps them."""
        for family in self._gauges:
            if family.mode not in {"sum", "max", "min", "mostrecent"}:
                continue
            for labels, value in self.gauge(family, sources):
                series = _series(family, "", *_split(labels))
                time_row = family.children[labels].rows.get("time", -1)
                times = [
                    source.values[source.slots[time_row]]
                    for source in sources
                    if time_row in source.slots
                ]
                yield series, [value, max(times, default=0.0)][: series.slots]


def _plain(family: Family) -> bool:
    return PLAIN_NAME.fullmatch(family.name) is not None and all(
        PLAIN_NAME.fullmatch(name) for child in family.children.values() for name, _ in child.labels
    )


def _series(family: Family, suffix: str, names: tuple[str, ...], values: tuple[str, ...]) -> Series:
    return Series(
        family.name, family.kind, family.mode, family.documentation, suffix, names, values
    )


def _split(labels: Labels) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(name for name, _ in labels), tuple(value for _, value in labels)


def _place(key: str) -> tuple[int, float]:
    """Buckets by their bound, then what has a suffix."""
    return (1, 0.0) if key.startswith("_") else (0, float(key))


def _braces(labels: Iterable[tuple[str, str]]) -> str:
    text = label_text(labels)
    return f"{{{text}}}" if text else ""


def _shown(family: Family, child: Child, key: str) -> bool:
    """OpenMetrics: a histogram that takes negative values has no sum, it could fall."""
    return not (family.kind == "histogram" and key == "_sum" and child.keys[0].startswith("-"))


def _template(family: Family, child: Child) -> str:
    """The lines of a child with a place for each number."""

    def line(suffix: str, labels: Iterable[tuple[str, str]] = child.labels) -> str:
        return f"{family.name}{suffix}{_braces(labels)} ".replace("%", "%%") + "%s\n"

    lines = []
    for key in child.keys:
        if key.startswith("_"):
            if _shown(family, child, key):
                lines.append(line(key))
        else:
            lines.append(line("_bucket", sorted([*child.labels, ("le", key)])))
    if family.kind == "histogram":
        # Behind the buckets: their last number once more, as the count.
        lines.insert(len(child.keys) - ("_sum" in child.rows), line("_count"))
    return "".join(lines)


def _lines(family: Family, child: Child, numbers: list[float]) -> str:
    if len(numbers) == 1 and math.isfinite(numbers[0]) and family.kind != "histogram":
        return child.template % numbers[0]
    if family.kind == "histogram":
        rest = [numbers.pop()] if "_sum" in child.rows else []
        if not _shown(family, child, "_sum"):
            rest = []
        numbers = list(accumulate(numbers))
        numbers += [numbers[-1] if numbers else 0.0, *rest]
    if not all(map(math.isfinite, numbers)):
        return child.template % tuple(map(number, numbers))
    return child.template % tuple(numbers)
