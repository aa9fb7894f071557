"""A plugin of pytest that writes down which tests failed, which were skipped and why, for
``make test``.

python -m pytest -p tools.suite.outcomes --outcomes-to FILE
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Skipped:
    """A test, or a module whose tests were not even collected, and the reason."""

    test: str
    reason: str


@dataclass(frozen=True)
class Outcomes:
    """The tests of one run that did not simply pass."""

    skipped: list[Skipped] = field(default_factory=list)
    #: Their names, as pytest takes them on its command line.
    failed: list[str] = field(default_factory=list)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--outcomes-to", metavar="FILE", help="write what did not pass there as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if name := config.getoption("--outcomes-to"):
        config.pluginmanager.register(_Collector(Path(name)))


class _Collector:
    """Takes the reports of one run."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._skipped: list[tuple[str, str]] = []
        # A test can fail twice: itself, and then in what its fixtures do after it.
        self._failed: dict[str, None] = {}

    def _add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            self._failed[report.nodeid] = None
        # An expected failure is reported as skipped, too; it did run.
        elif report.skipped and not hasattr(report, "wasxfail"):
            assert isinstance(report.longrepr, tuple)
            reason = str(report.longrepr[2]).removeprefix("Skipped: ")
            self._skipped.append((report.nodeid, reason))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._add(report)

    def pytest_sessionfinish(self) -> None:
        found = {"skipped": self._skipped, "failed": list(self._failed)}
        self._file.write_text(json.dumps(found))


def read(file: Path) -> Outcomes:
    """What a run wrote; nothing where pytest did not get that far."""
    if not file.is_file():
        return Outcomes()
    found = json.loads(file.read_text())
    return Outcomes([Skipped(test, reason) for test, reason in found["skipped"]], found["failed"])


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
