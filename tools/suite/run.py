"""``make test``: lint, then the tests; programs of the stack are built meanwhile where Go is.

A test that needs a program which is still being built is run again when it is there. Up to
MOST_AGAIN tests of a stage that failed are run once more, alone. What was not run in the end stands
in the last lines, with the reason, and so does what failed at first.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from monitoring.tools.build import PROGRAMS, go_problem
from tools.containers import engine
from tools.local.layout import ROOT
from tools.suite.outcomes import Outcomes, Skipped, read, summary

#: Tests of real servers mostly wait and those without mostly compute, so they run side by side. The
#: later stages need the programs of the stack.
_SERVERS = "servers and not e2e and not containers and not container_drills"
_STAGES: tuple[tuple[tuple[str, list[str]], ...], ...] = (
    (
        (
            "tests without servers",
            ["-m", "not servers and not e2e and not containers and not container_drills"],
        ),
        ("tests of real servers: telemetry", ["-m", _SERVERS, "tests/telemetry"]),
        (
            "tests of real servers: the others",
            ["-m", _SERVERS, "tests", "--ignore", "tests/telemetry"],
        ),
    ),
    (
        ("the whole line", ["-m", "e2e", "tests/e2e", "--ignore", "tests/e2e/test_drills.py"]),
        ("the whole line: drills", ["-m", "e2e", "tests/e2e/test_drills.py"]),
    ),
    (("the compose files in containers", ["-m", "containers"]),),
)
#: 5 is pytest's exit status for a selection without tests.
_PASSED = {0, 5}
#: Tests of a stage that may fail beside the others and pass alone.
MOST_AGAIN = 5
#: How the reason of a test begins that waits for a program (``pytest.skip``).
NOT_BUILT = ("not built: ", "promtool is not built")


class Build:
    """The build of the stack's missing programs, beside the tests."""

    def __init__(self) -> None:
        self.missing = [program.name for program in PROGRAMS if not program.path()]
        self.problem = go_problem() if self.missing else None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self.missing or self.problem:
            return
        print(f"building {', '.join(self.missing)} beside the tests (once for this user) ...")
        sys.stdout.flush()
        # The compilers take what the tests leave: a starved server would look like a broken one.
        command = ["nice", "-n", "19", sys.executable, "monitoring/tools/build.py"]
        self._process = subprocess.Popen(command, cwd=ROOT)

    def wait(self) -> None:
        """Return when nothing is being built any more."""
        if self._process is None:
            return
        if self._process.poll() is None:
            print("waiting for the programs of the monitoring stack ...", flush=True)
        if self._process.wait():
            self.problem = "they could not be built, see above"

    def wait_quietly(self) -> None:
        """The same for another thread, without a word and without a verdict."""
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


class Images:
    """The build of the images for the tests in containers, beside the other tests."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._stopped = False

    def start(self) -> None:
        if engine.problem() in {None, engine.NO_COMPOSE}:
            self._thread.start()

    def _make(self) -> None:
        self._build.wait_quietly()
        if self._stopped or engine.problem() is not None:
            return
        # What goes wrong here goes wrong again in the tests, which say it.
        command = ["nice", "-n", "19", sys.executable, "-m", "tools.containers.images"]
        self._process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        self._process.wait()

    def wait(self) -> None:
        """Return when nothing is being built any more."""
        if self._thread.is_alive():
            print("waiting for the images of the compose files ...", flush=True)
            self._thread.join()

    def stop(self) -> None:
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait()


def main() -> int:
    build = Build()
    build.start()
    images = Images(build)
    images.start()
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = run_all(build, images, Path(folder))
        finally:
            images.stop()
            build.stop()
    if found is None:
        return 1
    print("\n".join(last_lines(found.skipped, build, found.failed)))
    return 0


def run_all(build: Build, images: Images, folder: Path) -> Outcomes | None:
    """Run every stage. Return what was skipped in the end and what failed once and then passed;
    None when something failed."""
    if not run("lint", ["make", "--no-print-directory", "lint"]):
        return None
    skipped: list[Skipped] = []
    failed_once: list[str] = []
    for stages in _STAGES:
        names = {name for name, _ in stages}
        if "the whole line" in names:
            build.wait()
        if "the compose files in containers" in names:
            images.wait()
        found = run_stages(stages, folder)
        if found is None:
            return None
        skipped += found.skipped
        failed_once += found.failed
    waited = [each for each in skipped if each.reason.startswith(NOT_BUILT)]
    if waited and build.missing and not build.problem:
        name = "tests that waited for a program"
        found = run_stages([(name, [each.test for each in waited])], folder)
        if found is None:
            return None
        skipped = [each for each in skipped if each not in waited] + found.skipped
        failed_once += found.failed
    return Outcomes(skipped, failed_once)


def run_stages(stages: Sequence[tuple[str, Sequence[str]]], folder: Path) -> Outcomes | None:
    """Run stages at the same time, and the few tests that failed once more, alone.

    On two cores a test of real servers may fail because others take its time; one that fails alone
    as well is a fault. None when that happened, or when more than a few failed.
    """
    outcomes = run_side_by_side(stages, folder)
    if outcomes is None or not outcomes.failed:
        return outcomes
    name = f"once more, alone: {', '.join(outcomes.failed)}"
    if not run(name, pytest_command(outcomes.failed, folder / "again.json")):
        return None
    return outcomes


def run_side_by_side(stages: Sequence[tuple[str, Sequence[str]]], folder: Path) -> Outcomes | None:
    """Run stages at the same time, and print what each said when it ends; what was skipped and what
    failed, None as soon as more than a few failed."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    files = {name: folder / f"stage-{number}" for number, (name, _) in enumerate(stages)}
    alone = len(stages) == 1
    started = time.monotonic()
    together = Outcomes()
    try:
        for name, selection in stages:
            print(f"--- {name}{'' if alone else ' (beside others)'}", flush=True)
            report, log = files[name].with_suffix(".json"), files[name].with_suffix(".log")
            report.unlink(missing_ok=True)
            with log.open("wb") as output:
                running[name] = subprocess.Popen(
                    pytest_command(selection, report),
                    cwd=ROOT,
                    stdout=None if alone else output,
                    stderr=None if alone else subprocess.STDOUT,
                )
        while running:
            time.sleep(0.2)
            for name, process in list(running.items()):
                if (status := process.poll()) is None:
                    continue
                del running[name]
                found = read(files[name].with_suffix(".json"))
                passed = status in _PASSED
                verdict = "passed" if passed else "FAILED"
                print(
                    f"{files[name].with_suffix('.log').read_text(errors='replace')}"
                    f"--- {name}: {verdict} in {time.monotonic() - started:.0f} s",
                    flush=True,
                )
                if not passed and not (status == 1 and 0 < len(found.failed) <= MOST_AGAIN):
                    return None
                together.skipped.extend(found.skipped)
                together.failed.extend(found.failed)
    finally:
        for process in running.values():
            # As Ctrl-C: pytest ends what its tests started.
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()
    return together


def pytest_command(selection: Sequence[str], file: Path) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tools.suite.outcomes"]
    return [*command, "--outcomes-to", str(file), *selection]


def run(name: str, command: Sequence[str]) -> bool:
    """Run a command and say how it ended; True where it passed."""
    print(f"--- {name}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    passed = status in _PASSED
    print(f"--- {name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s")
    return passed


def last_lines(
    skipped: Sequence[Skipped], build: Build, failed_once: Sequence[str] = ()
) -> list[str]:
    """What a person reads at the end: all passed, or what was not run and why, and which tests
    failed once."""
    if skipped:
        lines = [f"no test failed, but {len(skipped)} were NOT RUN:", *summary(skipped)]
        if build.problem:
            lines.append(f"programs are missing ({', '.join(build.missing)}): {build.problem}")
    else:
        lines = ["all tests passed, none was skipped"]
    if failed_once:
        lines.append(f"{len(failed_once)} FAILED beside the others and passed alone:")
        lines += [f"  {test}" for test in failed_once]
    return lines


if __name__ == "__main__":
    sys.exit(main())
