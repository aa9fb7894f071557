"""The last lines of ``make test`` name what was skipped, as pytest really reports it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripts.local.layout import ROOT
from scripts.run_tests import Build, last_lines
from scripts.skipped_tests import Skipped, read, summary

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
    file = folder / "skipped.json"
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "scripts.skipped_tests"),
            *("-p", "no:django", "--rootdir", str(folder), "--skipped-to", str(file), *selection),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode in {0, 5}, result.stdout + result.stderr
    return read(file)


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
