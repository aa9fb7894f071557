"""The newest exemplar of each series, from whichever process."""

from __future__ import annotations

import re
import struct
from math import inf

from prometheus_client.samples import Exemplar

from telemetry.metrics.slots import EXEMPLAR_HEAD
from telemetry.metrics.sources import Source
from telemetry.metrics.text import number

#: Labels of an exemplar, as they are written between the braces.
_LABELS = re.compile(r'(?:(?:\A|,)[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*")*\Z', re.ASCII)
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\"n])*)"', re.ASCII)
#: The year 5138: later is damage.
_LATEST = 1e11
_HEAD = struct.Struct(f"{EXEMPLAR_HEAD}d")
_END = struct.Struct("d")


class _Times(dict[int, float]):
    def __missing__(self, row: int) -> float:
        return 0.0


class NewestExemplars:
    """By the row of their series. They outlive the process that saw them."""

    def __init__(self) -> None:
        #: As they stand behind the value in OpenMetrics.
        self.texts: dict[int, str] = {}
        self._times = _Times()
        #: Newer ones that were seen: their times and records.
        self._found: dict[int, tuple[float, bytes]] = {}

    def see(self, source: Source, newer_than: float) -> None:
        """Look for newer ones among the numbers that a source has taken."""
        rows, found = source.exemplar_rows, self._found
        known = map(self._times.__getitem__, rows)
        times = zip(rows, known, source.exemplar_times(), strict=False)
        for place, (row, before, time) in enumerate(times):
            if before < time and newer_than < time < _LATEST:
                if row in found and time <= found[row][0]:
                    continue
                found[row] = time, source.exemplar(place)

    def take(self) -> list[int]:
        """Keep the newest of those that were seen, and give their rows."""
        found, self._found = self._found, {}
        taken = []
        for row, (time, record) in found.items():
            # Only the newest of many processes' is read.
            text = _text(record)
            if text is not None:
                self._times[row] = time
                self.texts[row] = text
                taken.append(row)
        return taken

    def forget(self, older_than: float) -> list[int]:
        """Forget those that are too old, and give their rows."""
        if not self._times or min(self._times.values()) >= older_than:
            return []
        old = [row for row, time in self._times.items() if time < older_than]
        for row in old:
            del self._times[row], self.texts[row]
        return old


def parsed(text: str) -> Exemplar:
    """An exemplar as prometheus_client has it, from how it is written behind a value."""
    labels, _, numbers = text.removeprefix(" # {").rpartition("} ")
    value, _, time = numbers.partition(" ")
    found = {name: _unescaped(value) for name, value in _LABEL.findall(labels)}
    return Exemplar(found, float(value), float(time))


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)


def _text(record: bytes) -> str | None:
    """An exemplar as OpenMetrics writes it behind a value; None while it is being written, and for
    one that is damaged."""
    written, time, value, length = _HEAD.unpack_from(record)
    room = len(record) - _HEAD.size - _END.size
    if not written or written != _END.unpack_from(record, _HEAD.size + room)[0]:
        return None
    if not 0 <= length <= room or not 0 < time < _LATEST:
        return None
    labels = record[_HEAD.size : _HEAD.size + int(length)].decode(errors="replace")
    if not _LABELS.match(labels):
        return None
    shown = repr(value) if -inf < value < inf else number(value)
    return f" # {{{labels}}} {shown} {time:.3f}"
