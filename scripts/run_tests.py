"""``make test``: lint, then the tests; programs of the stack are built meanwhile where Go is.

A test that needs a program which is still being built is run again when it is there. What was not
run in the end stands in the last lines, with the reason.
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
from scripts.containers import engine
from scripts.local.layout import ROOT
from scripts.skipped_tests import Skipped, read, summary

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
    (("the whole line", ["-m", "e2e"]),),
    (("the compose files in containers", ["-m", "containers"]),),
)
#: 5 is pytest's exit status for a selection without tests.
_PASSED = {0, 5}
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
        command = ["nice", "-n", "19", sys.executable, "-m", "scripts.containers.images"]
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
            skipped = run_all(build, images, Path(folder) / "skipped.json")
        finally:
            images.stop()
            build.stop()
    if skipped is None:
        return 1
    print("\n".join(last_lines(skipped, build)))
    return 0


def run_all(build: Build, images: Images, file: Path) -> list[Skipped] | None:
    """Every stage; what was skipped in the end, None when something failed."""
    if not run("lint", ["make", "--no-print-directory", "lint"]):
        return None
    skipped: list[Skipped] = []
    for stages in _STAGES:
        names = {name for name, _ in stages}
        if "the whole line" in names:
            build.wait()
        if "the compose files in containers" in names:
            images.wait()
        if len(stages) > 1:
            found = run_side_by_side(stages, file.parent)
        else:
            ((name, selection),) = stages
            found = run_stage(name, selection, file)
        if found is None:
            return None
        skipped += found
    waited = [each for each in skipped if each.reason.startswith(NOT_BUILT)]
    if waited and build.missing and not build.problem:
        name = "tests that waited for a program"
        if (found := run_stage(name, [each.test for each in waited], file)) is None:
            return None
        skipped = [each for each in skipped if each not in waited] + found
    return skipped


def run_side_by_side(
    stages: Sequence[tuple[str, Sequence[str]]], folder: Path
) -> list[Skipped] | None:
    """Run stages at the same time, and print what each said when it ends; which tests were skipped,
    None as soon as one failed."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    files = {name: folder / f"stage-{number}" for number, (name, _) in enumerate(stages)}
    started = time.monotonic()
    skipped: list[Skipped] = []
    try:
        for name, selection in stages:
            print(f"--- {name} (beside others)", flush=True)
            with files[name].with_suffix(".log").open("wb") as output:
                command = pytest_command(selection, files[name].with_suffix(".json"))
                running[name] = subprocess.Popen(
                    command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
                )
        while running:
            time.sleep(0.2)
            for name, process in list(running.items()):
                if (status := process.poll()) is None:
                    continue
                del running[name]
                said = files[name].with_suffix(".log").read_text(errors="replace")
                passed = status in _PASSED
                verdict = "passed" if passed else "FAILED"
                print(
                    f"{said}--- {name}: {verdict} in {time.monotonic() - started:.0f} s", flush=True
                )
                if not passed:
                    return None
                skipped += read(files[name].with_suffix(".json"))
    finally:
        for process in running.values():
            # As Ctrl-C: pytest ends what its tests started.
            process.send_signal(signal.SIGINT)
        for process in running.values():
            process.wait()
    return skipped


def pytest_command(selection: Sequence[str], file: Path) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "scripts.skipped_tests"]
    return [*command, "--skipped-to", str(file), *selection]


def run_stage(name: str, selection: Sequence[str], file: Path) -> list[Skipped] | None:
    """Run some tests; which of them were skipped, None when one failed."""
    file.unlink(missing_ok=True)
    if not run(name, pytest_command(selection, file)):
        return None
    return read(file)


def run(name: str, command: Sequence[str]) -> bool:
    """Run a command and say how it ended; True where it passed."""
    print(f"--- {name}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    passed = status in _PASSED
    print(f"--- {name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s")
    return passed


def last_lines(skipped: Sequence[Skipped], build: Build) -> list[str]:
    """What a person reads at the end: all passed, or what was not run and why."""
    if not skipped:
        return ["all tests passed, none was skipped"]
    lines = [f"no test failed, but {len(skipped)} were NOT RUN:", *summary(skipped)]
    if build.problem:
        lines.append(f"programs are missing ({', '.join(build.missing)}): {build.problem}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
