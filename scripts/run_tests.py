"""``make test``: lint, then the tests; programs of the stack are built meanwhile where Go is."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from monitoring.tools.build import PROGRAMS, go_problem
from scripts.local.layout import ROOT

#: Quick ones first: what fails, fails soon.
_STAGES = (
    ("tests without servers", ["-m", "not servers and not e2e"]),
    ("tests of real servers", ["-m", "servers and not e2e"]),
    ("the whole line", ["-m", "e2e"]),
)


def main() -> int:
    missing = [program.name for program in PROGRAMS if not program.path()]
    problem = go_problem() if missing else None
    build = None
    if missing and not problem:
        print(
            f"building {', '.join(missing)} beside the tests (once for this user) ...", flush=True
        )
        # The compilers take what the tests leave: a starved server would look like a broken one.
        command = ["nice", "-n", "19", sys.executable, "monitoring/tools/build.py"]
        build = subprocess.Popen(command, cwd=ROOT)
    try:
        if run("lint", ["make", "--no-print-directory", "lint"]):
            return 1
        for name, selection in _STAGES:
            if name == "the whole line" and build is not None:
                print("waiting for the programs of the monitoring stack ...", flush=True)
                if build.wait():
                    problem = "they could not be built, see above"
            if run(name, [sys.executable, "-m", "pytest", "-q", *selection]):
                return 1
    finally:
        if build is not None and build.poll() is None:
            build.terminate()
            build.wait()
    if problem:
        print(f"NOT RUN: tests that need {', '.join(missing)}: {problem}")
    print("all tests passed")
    return 0


def run(name: str, command: Sequence[str]) -> int:
    print(f"--- {name}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    # 5 is pytest's word for a selection without tests.
    passed = status in {0, 5}
    print(f"--- {name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
