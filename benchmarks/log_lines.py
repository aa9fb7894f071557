"""What a log line costs on its way to standard error, beside a bare ``os.write``.

Each variant writes to a pipe that another process empties, in turns in one run, so that each turn
has the same neighbours. CPU time is the process' own, in user space and in the kernel; instructions
are those of user space, counted by callgrind as the difference between two numbers of lines.

    python -m benchmarks.log_lines [--rounds 30] [--lines 2000]
    python -m benchmarks.log_lines --instructions
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import arena
from telemetry.logs.standard_error import StandardError

#: A request's line has about this many bytes.
LINE = b"x" * 449 + b"\n"
BARE = "os.write"
NOWAIT = "telemetry"
REOPENED = "telemetry, opened again"
VARIANTS = (BARE, NOWAIT, REOPENED)
_INSTRUCTIONS = re.compile(r"^(?:totals|summary): (\d+)", re.MULTILINE)
_FEW, _MANY = 1_000, 51_000
#: Lines in each round: a pipe takes them all, so that what is measured is a line taken at once.
_EACH = 100


def writer(variant: str) -> Callable[[bytes], object]:
    """How a variant writes a line to descriptor 2."""
    if variant == BARE:
        return lambda line: os.write(2, line)
    if variant == REOPENED:
        _refuse_nowait()
    destination = StandardError()
    # It finds out with the first line how the kernel answers.
    destination.write(LINE)
    return destination.write


def _refuse_nowait() -> None:
    """Answer as Linux before 6.4 does, for the rest of this process."""

    def refuse(*_given: object) -> int:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    os.pwritev = refuse


def with_reader(
    variant: str, lines: int, rounds: int, prefix: list[str] | None = None
) -> list[str]:
    """Run one variant in a process of its own, whose standard error somebody reads."""
    reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    ran = subprocess.run(
        [
            *(prefix or []),
            *(sys.executable, "-m", "benchmarks.log_lines", "--variant", variant),
            *("--lines", str(lines), "--rounds", str(rounds)),
        ],
        stdout=subprocess.PIPE,
        stderr=reader.stdin,
        # Else two starts of Python differ by more than the lines.
        env={**os.environ, "PYTHONHASHSEED": "0"},
        text=True,
        check=True,
    )
    if reader.stdin:
        reader.stdin.close()
    reader.wait(10)
    return ran.stdout.split()


def run(variant: str, lines: int, rounds: int) -> None:
    """Write, and print the nanoseconds of CPU for a line in each round."""
    write = writer(variant)
    for _ in range(rounds):
        begun = time.process_time_ns()
        for _ in range(lines):
            write(LINE)
        print((time.process_time_ns() - begun) / lines)
        # The reader catches up: what is measured is a line that is taken at once.
        time.sleep(0.01)


def instructions(variant: str) -> float:
    """Instructions in user space for a line."""
    counted = []
    for lines in (_FEW, _MANY):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "out"
            prefix = ["valgrind", "--tool=callgrind", "--quiet", f"--callgrind-out-file={file}"]
            with_reader(variant, _EACH, lines // _EACH, prefix)
            found = _INSTRUCTIONS.search(file.read_text())
            if found is None:
                raise RuntimeError("callgrind wrote no counts")
            counted.append(int(found.group(1)))
    return (counted[1] - counted[0]) / (_MANY - _FEW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--lines", type=int, default=_EACH, help="in each round")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.variant:
        run(given.variant, given.lines, given.rounds)
        return
    print(arena.machine())
    if given.instructions:
        for variant in VARIANTS:
            print(f"{variant:26} {instructions(variant):8.0f} instructions a line")
        return
    costs: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(10):
        for variant in VARIANTS:
            costs[variant] += map(float, with_reader(variant, given.lines, given.rounds))
    for variant, found in costs.items():
        print(f"{variant:26} {statistics.median(found):8.0f} ns CPU a line (median)")


if __name__ == "__main__":
    main()
