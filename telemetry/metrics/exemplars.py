"""The newest exemplar of each series, from whichever process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from telemetry.metrics.directory import Exemplars
from telemetry.metrics.sources import Source


class NewestExemplars:
    """By the row of their series. They outlive the process that saw them."""

    def __init__(self) -> None:
        #: As they stand behind the value in OpenMetrics.
        self.texts: dict[int, str] = {}
        self._times: dict[int, float] = {}

    def take(self, sources: Iterable[Source], twin_of: Mapping[int, int]) -> list[int]:
        """Look for newer ones, and give the rows that have one."""
        times = self._times
        newest: dict[int, tuple[float, Source, Exemplars]] = {}
        for source in sources:
            for found_row, place, time in source.new_exemplars():
                row = twin_of.get(found_row, found_row)
                known = newest.get(row)
                if time > (known[0] if known else times.get(row, 0.0)):
                    newest[row] = time, source, place
        taken = []
        for row, (time, source, place) in newest.items():
            # Only the newest of many processes' is read.
            text = source.exemplar(place)
            if text is not None:
                times[row] = time
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
