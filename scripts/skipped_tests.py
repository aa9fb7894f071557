"""A plugin of pytest that writes down which tests were skipped and why, for ``make test``.

python -m pytest -p scripts.skipped_tests --skipped-to FILE
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Skipped:
    """A test, or a module whose tests were not even collected, and the reason."""

    test: str
    reason: str


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skipped-to", metavar="FILE", help="write the skipped tests there as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if name := config.getoption("--skipped-to"):
        config.pluginmanager.register(_Collector(Path(name)))


class _Collector:
    """Takes the reports of one run."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found: list[tuple[str, str]] = []

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # An expected failure is reported as skipped, too; it did run.
        if report.skipped and not hasattr(report, "wasxfail"):
            assert isinstance(report.longrepr, tuple)
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            self._found.append((report.nodeid, reason))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._add(report)

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(json.dumps(self._found))


def read(file: Path) -> list[Skipped]:
    """What a run wrote; nothing where pytest did not get that far."""
    if not file.is_file():
        return []
    return [Skipped(test, reason) for test, reason in json.loads(file.read_text())]


def summary(skipped: Iterable[Skipped]) -> list[str]:
    """One line for each reason, with the number of its tests and where they are."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for each in skipped:
        by_reason[each.reason].append(each.test.partition("::")[0])
    lines = []
    for reason, files in sorted(by_reason.items()):
        where = ", ".join(sorted(set(files)))
        lines.append(f"  {len(files)} x {reason}  ({where})")
    return lines
