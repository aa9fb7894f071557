"""The text of all series of a table.

A scrape comes every 15 seconds and finds nothing in the processor's cache: what counts is how much
memory it touches. So the text between the numbers is one long format for some hundred lines, and
such a block is formatted again only when one of its numbers or exemplars changed. (A format for
each labelled child took twice as long, a join of one text for each line as well.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from telemetry.metrics.exemplars import NewestExemplars
from telemetry.metrics.families import Child, Family
from telemetry.metrics.sources import Source
from telemetry.metrics.table import Table
from telemetry.metrics.text import braces, head, number

#: Lines of a block: few enough that one number that changed costs little.
_BLOCK = 400
#: Numbers whose text is remembered; most counts of a scrape come again in it.
_MOST_TEXTS = 20_000


class _Texts(dict[float, str]):
    """The text of each number."""

    def __missing__(self, value: float) -> str:
        if value != value:  # noqa: PLR0124  each NaN would be a key of its own
            return number(value)
        if len(self) >= _MOST_TEXTS:
            self.clear()
        text = self[value] = repr(value) if math.isfinite(value) else number(value)
        return text


_text_of = _Texts().__getitem__


class _Block:
    """Some lines of one family."""

    def __init__(self, family: Family, first: int, beginnings: list[str]) -> None:
        self.family = family
        self.first = first
        self.end = first + len(beginnings)
        # Behind each number of OpenMetrics stands its exemplar.
        self._format = "".join([f"{beginning}%s\n" for beginning in beginnings])
        self._with_exemplars = "".join([f"{beginning}%s%s\n" for beginning in beginnings])
        self._numbers: list[float] = []
        self._text = ""
        #: The same with exemplars, empty when one of them changed.
        self.openmetrics = ""

    def lines(self, numbers: list[float], exemplars: list[str], *, openmetrics: bool) -> str:
        mine = numbers[self.first : self.end]
        if mine != self._numbers:
            self._numbers = mine
            self._text = self.openmetrics = ""
        if openmetrics:
            if not self.openmetrics:
                told = [""] * (2 * len(mine))
                told[0::2] = map(_text_of, mine)
                told[1::2] = exemplars[self.first : self.end]
                self.openmetrics = self._with_exemplars % tuple(told)
            return self.openmetrics
        if not self._text:
            self._text = self._format % tuple(map(_text_of, mine))
        return self._text


class Lines:
    """Lines of the families with plain names; the others are left to prometheus_client."""

    def __init__(self, table: Table, newest: NewestExemplars) -> None:
        self._table = table
        self._layout = -1
        self._newest = newest
        self._blocks: list[_Block] = []
        #: Names of the families in the last text.
        self.shown: set[str] = set()
        #: The line that shows a row.
        self._line_of: dict[int, int] = {}
        self._exemplars: list[str] = []
        self._numbers: list[float] = []
        self._numbers_of: Sequence[float] = ()

    def text(
        self, sources: list[Source], *, openmetrics: bool, newer_than: float, leave_out: set[str]
    ) -> str:
        """Every family whose names are plain, but those to leave out."""
        if self._layout != self._table.layout:
            self._lay_out()
        if self._numbers_of is not self._table.now:
            self._numbers_of = self._table.now
            self._numbers = self._count()
        if openmetrics:
            self._show(self._newest.take())
            self._show(self._newest.forget(newer_than))
        parts = []
        self.shown = set()
        family = None
        for block in self._blocks:
            if block.family.name in leave_out:
                continue
            if block.family is not family:
                family = block.family
                self.shown.add(family.name)
                parts.append(_head(family, openmetrics=openmetrics))
            parts.append(block.lines(self._numbers, self._exemplars, openmetrics=openmetrics))
        for family in self._table.gauges:
            if family.name not in leave_out | self.shown and family.plain:
                values = list(self._table.gauge(family, sources))
                if not values:
                    continue
                self.shown.add(family.name)
                parts.append(_head(family, openmetrics=openmetrics))
                for labels, value in values:
                    parts.append(f"{family.name}{braces(labels)} {_text_of(value)}\n")
        return "".join(parts)

    def _lay_out(self) -> None:
        self._layout = self._table.layout
        self._blocks = []
        self._line_of = {}
        self._numbers_of = ()
        end = 0
        for family in self._table.summed:
            if not family.plain:
                continue
            beginnings: list[str] = []
            for child in family.shown():
                for place, key in enumerate(child.keys):
                    self._line_of[child.rows[key]] = end + len(beginnings) + place
                beginnings += _beginnings(family, child)
                if len(beginnings) >= _BLOCK:
                    self._blocks.append(_Block(family, end, beginnings))
                    end += len(beginnings)
                    beginnings = []
            if beginnings:
                self._blocks.append(_Block(family, end, beginnings))
                end += len(beginnings)
        self._exemplars = [""] * end
        self._show(self._newest.texts)

    def _count(self) -> list[float]:
        """The number of each line."""
        now = self._table.now
        numbers: list[float] = []
        for family in self._table.summed:
            if not family.plain:
                continue
            if family.kind == "counter":
                numbers += now[family.start : family.stop]
                continue
            for child in family.shown():
                if family.kind == "histogram":
                    numbers += accumulate(now[child.start : child.stop])
                    # The last bucket once more, as the count.
                    numbers.append(numbers[-1] if child.keys else 0.0)
                else:
                    numbers += now[child.start : child.stop]
                if child.sum >= 0 and _shows_sum(child):
                    numbers.append(now[child.sum])
        return numbers

    def _show(self, rows: Iterable[int]) -> None:
        """Bring the exemplars of these rows to their lines."""
        lines = [(self._line_of[row], row) for row in rows if row in self._line_of]
        blocks = iter(self._blocks)
        block = None
        for line, row in sorted(lines):
            self._exemplars[line] = self._newest.texts.get(row, "")
            while block is None or line >= block.end:
                block = next(blocks)
            block.openmetrics = ""


def _head(family: Family, *, openmetrics: bool) -> str:
    return head(family.name, family.kind, family.documentation, openmetrics=openmetrics)


def _shows_sum(child: Child) -> bool:
    """OpenMetrics: a histogram that takes negative values has no sum, it could fall."""
    return not (child.keys and child.keys[0].startswith("-"))


def _beginnings(family: Family, child: Child) -> Iterator[str]:
    """What stands before each number of a child, as a format has it."""
    name = family.name
    labels = braces(child.labels).replace("%", "%%")
    for key in child.keys:
        if family.kind == "histogram":
            bucket = braces(sorted([*child.labels, ("le", key)])).replace("%", "%%")
            yield f"{name}_bucket{bucket} "
        else:
            yield f"{name}{key}{labels} "
    if family.kind == "histogram":
        yield f"{name}_count{labels} "
    if child.sum >= 0 and _shows_sum(child):
        yield f"{name}_sum{labels} "
