"""prometheus_client's own test suite, from its source distribution, against our store.

The distribution of the pinned version is fetched by pip, checked against the hash in
``requirements/base.txt`` and kept in the user's cache; it is no part of this repository.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from testing.servers import ROOT

PACKAGE = "prometheus-client"
REQUIREMENTS = ROOT / "requirements" / "prometheus-client-tests.txt"

#: Tests that cannot pass with our store, each with its reason. The only reason there may be: the
#: test looks into prometheus_client's own files of several processes, which ours replace.
SKIPPED: dict[str, str] = {}

#: A test that fails is tried again so often: `test_mtls_untrusted_client_cert_raises` fails in two
#: of three runs with prometheus_client's own values as well.
TRIES = 20

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

Outcomes = dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def cache() -> Iterator[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "expense-tracker" / f"{PACKAGE}-{version(PACKAGE)}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"pip {arguments[0]} failed (no network?): {done.stdout[-500:]}")


@pytest.fixture(scope="module")
def suite(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests alone: beside them the package would be imported from the distribution."""
    archives = list(cache.glob("*.tar.gz"))
    if not archives:
        pinned = re.search(
            rf"^{PACKAGE}==.*?(?=^[\w#])",
            (ROOT / "requirements" / "base.txt").read_text(),
            re.MULTILINE | re.DOTALL,
        )
        assert pinned
        wanted = tmp_path_factory.mktemp("pinned") / "requirements.txt"
        wanted.write_text(pinned[0])
        binaries = ("--no-deps", "--no-binary", PACKAGE)
        pip("download", *binaries, "--require-hashes", "-d", str(cache), "-r", str(wanted))
        archives = list(cache.glob("*.tar.gz"))
    folder = tmp_path_factory.mktemp("suite")
    with tarfile.open(archives[0]) as archive:
        members = [one for one in archive if re.match(r"[^/]+/tests/", one.name)]
        archive.extractall(folder, members, filter="data")
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def needed(cache: Path) -> Path:
    """The packages that only this suite needs."""
    folder = cache / f"needed-{sys.version_info[0]}.{sys.version_info[1]}"
    stamp = folder / "installed"
    if not stamp.is_file() or stamp.read_text() != REQUIREMENTS.read_text():
        pip("install", "--require-hashes", "--upgrade", "-t", str(folder), "-r", str(REQUIREMENTS))
        stamp.write_text(REQUIREMENTS.read_text())
    return folder


def run(suite: Path, needed: Path, tests: list[str]) -> Outcomes:
    written = suite / "outcomes"
    written.unlink(missing_ok=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=short", "--rootdir", str(suite)),
            *("-p", "tests.telemetry.prometheus_client_plugin", "-o", "addopts=", "-p"),
            *("no:cacheprovider", "-p", "no:django", "--import-mode=importlib", *tests),
        ],
        cwd=suite,
        env={
            **{name: value for name, value in os.environ.items() if "PROMETHEUS" not in name},
            # Behind our own packages: no release of theirs may take the place of a pinned one.
            "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:], str(needed)]),
            "TELEMETRY_OUTCOMES": str(written),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not written.is_file():
        pytest.fail(done.stdout[-3000:])
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    print(done.stdout[-1500:])
    return {name: (outcome, reason) for name, outcome, reason in lines}


@pytest.fixture(scope="module")
def outcomes(suite: Path, needed: Path) -> Outcomes:
    found = run(suite, needed, ["tests"])
    for _ in range(TRIES):
        failed = [name for name, (outcome, _) in found.items() if outcome == "failed"]
        again = [name for name in failed if name not in SKIPPED]
        if not again or len(again) > 3:
            break
        tried = run(suite, needed, again)
        found |= {name: outcome for name, outcome in tried.items() if name in again}
    return found


def test_every_test_of_prometheus_client_passes_with_our_store(outcomes: Outcomes) -> None:
    assert int(outcomes.pop("names", ("", "0"))[1]) > 10_000
    assert len(outcomes) > 300
    failed = {name for name, (outcome, _) in outcomes.items() if outcome == "failed"}
    skipped = {name: reason for name, (outcome, reason) in outcomes.items() if outcome == "skipped"}

    assert failed - SKIPPED.keys() == set()
    # Nothing is left out because something is not installed.
    assert skipped == {}


def test_what_is_left_out_exists_and_cannot_pass(outcomes: Outcomes) -> None:
    for name in SKIPPED:
        assert outcomes.get(name, ("missing", ""))[0] == "failed", name
