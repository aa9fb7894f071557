"""The last lines of ``make test`` name what was skipped and what failed at first, as pytest really
reports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.local.layout import ROOT
from tools.suite import run as stages
from tools.suite.outcomes import Skipped, read, summary
from tools.suite.run import Build, last_lines, run_stages

TESTS = """
import pytest

def test_passes(): pass

def test_waits(): pytest.skip("not built: amtool (make tools)")

@pytest.mark.parametrize("value", ["a::b", "c d", "[e]"])
@pytest.mark.skipif(True, reason="only root can")
def test_of_root(value): pass

@pytest.mark.xfail(reason="known")
def test_is_expected_to_fail(): assert False
"""
MODULE = 'import pytest\n\npytest.skip("not built: jaeger (make tools)", allow_module_level=True)\n'


def run(folder: Path, *selection: str) -> list[Skipped]:
    file = folder / "outcomes.json"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tools.suite.outcomes"),
            *("-p", "no:django", "--rootdir", str(folder), "--outcomes-to", str(file), *selection),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode in {0, 5}, result.stdout + result.stderr
    return read(file).skipped


def test_skipped_tests_and_modules_are_written_down_with_their_reasons(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text(MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    found = run(tmp_path, str(tmp_path), "-c", str(tmp_path / "pytest.ini"))

    assert [each.reason for each in found] == [
        "not built: jaeger (make tools)",
        "not built: amtool (make tools)",
        *["only root can"] * 3,
    ]
    assert summary(found) == [
        "  1 x not built: amtool (make tools)  (test_some.py)",
        "  1 x not built: jaeger (make tools)  (test_module.py)",
        "  3 x only root can  (test_some.py)",
    ]


def test_a_skipped_test_can_be_run_again_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    options = ("-c", str(tmp_path / "pytest.ini"))
    found = run(tmp_path, str(tmp_path), *options)

    again = run(tmp_path, *(str(tmp_path / each.test) for each in found), *options)

    assert again == found


def test_only_a_run_without_skipped_tests_says_that_all_passed() -> None:
    build = Build()
    build.missing, build.problem = ["jaeger"], "Go is not installed"
    skipped = [Skipped("tests/a.py::test_b", "not built: jaeger (make tools)")]

    assert last_lines([], build) == ["all tests passed, none was skipped"]
    assert last_lines(skipped, build) == [
        "no test failed, but 1 were NOT RUN:",
        "  1 x not built: jaeger (make tools)  (tests/a.py)",
        "programs are missing (jaeger): Go is not installed",
    ]


def test_a_test_that_passes_alone_is_named_at_the_end() -> None:
    assert last_lines([], Build(), ["tests/a.py::test_b[c d]"]) == [
        "all tests passed, none was skipped",
        "1 FAILED beside the others and passed alone:",
        "  tests/a.py::test_b[c d]",
    ]


FAILS_AT_FIRST = """
import os
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("again")

def test_passes_alone():
    if not FILE.exists():
        FILE.touch()
        raise AssertionError

@pytest.fixture
def broken_end():
    yield
    assert os.environ.get("BROKEN_END") != "1"

def test_fails_at_its_end(broken_end): pass

@pytest.mark.parametrize("number", range(FAILURES))
def test_always_fails(number): assert False
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, whose tests ``run_stages`` runs."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:django\n")
    monkeypatch.setattr(stages, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


@pytest.mark.parametrize(("failures", "passes"), [(0, True), (1, False), (9, False)])
def test_a_few_failures_are_tried_once_more(
    project: Path, capfd: pytest.CaptureFixture[str], *, failures: int, passes: bool
) -> None:
    (project / "test_some.py").write_text(FAILS_AT_FIRST.replace("FAILURES", str(failures)))

    found = run_stages([("some", [])], project)

    assert (found is not None) == passes
    if found is not None:
        assert found.failed == ["test_some.py::test_passes_alone"]
    # Nothing is tried again where much is broken.
    assert ("once more, alone" in capfd.readouterr().out) == (failures < 5)


def test_a_failure_at_the_end_of_a_test_counts(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN_END", "1")
    (project / "test_some.py").write_text(FAILS_AT_FIRST.replace("FAILURES", "0"))
    (project / "again").touch()

    assert run_stages([("some", [])], project) is None
