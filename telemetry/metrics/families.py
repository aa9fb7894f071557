"""What a table of series is made of: metrics, and their labelled children."""

from __future__ import annotations

from telemetry.metrics.directory import Series
from telemetry.metrics.text import PLAIN_NAME

Labels = tuple[tuple[str, str], ...]


class Child:
    """One labelled child of a metric: a counter's number, or all numbers of a histogram."""

    __slots__ = ("hidden", "keys", "labels", "rows", "start", "stop", "sum", "twins")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        #: Whether no process has a value for it: it was removed.
        self.hidden = False
        #: Suffix, or upper bound of a bucket, to its row.
        self.rows: dict[str, int] = {}
        #: Further rows that mean the same: more than one series of a process became this child.
        self.twins: dict[str, list[int]] = {}
        #: The keys in the order of the lines, but a sum's.
        self.keys: list[str] = []
        #: Their columns, and the column of the sum, if there is one.
        self.start = self.stop = 0
        self.sum = -1


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
        #: Their columns, but those of sums.
        self.start = self.stop = 0

    def shown(self) -> list[Child]:
        return [child for child in self.children.values() if not child.hidden]

    def look_at_names(self) -> None:
        self.plain = PLAIN_NAME.fullmatch(self.name) is not None and all(
            PLAIN_NAME.fullmatch(name)
            for child in self.children.values()
            for name, _ in child.labels
        )

    def series(self, labels: Labels, suffix: str = "") -> Series:
        """What a slot of the child with these labels means."""
        names = tuple(name for name, _ in labels)
        values = tuple(value for _, value in labels)
        return Series(self.name, self.kind, self.mode, self.documentation, suffix, names, values)
