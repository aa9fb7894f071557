"""``make drill``: make each fault, wait for its alert, end it, and tell the times.

    make drill                              # all, twenty times as fast as shipped
    make drill FAULT=database-stopped FACTOR=1
    make drill REPORT=drill.json            # the table as JSON as well

Times are of the rules as shipped, divided by one factor; the table shows both.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import requests

from testing.postgres import PostgresError
from tools.drill.drill import Result, drill, late
from tools.drill.faults import BY_NAME, FAULTS
from tools.drill.field import Field
from tools.local.machine import machine
from tools.local.system import StartError
from tools.local.traffic import number

#: Faster than this, the three seconds that a request waits for a database are longer than the
#: windows of the rules.
FACTOR = 20


def row(result: Result, factor: float) -> str:
    """A line of the table; times measured, and in brackets what that is at full length."""
    state = "ok" if not result.problems else "FAIL"
    return (
        f"{state:4} {result.fault:18} {result.alert:25} made in {result.made:4.1f} s, "
        f"fired {result.fired:5.1f} s ({result.fired * factor / 60:4.1f} min) "
        f"of {result.allowed:5.1f}, resolved {result.resolved:5.1f} s "
        f"({result.resolved * factor / 60:4.1f} min), told {result.notifications}x"
        + (f", with {', '.join(result.companions)}" if result.companions else "")
        + "".join(f"\n     {problem}" for problem in result.problems)
    )


def main() -> int:
    factor = number("FACTOR", FACTOR, 1, 30)
    names = os.environ.get("FAULT", "").split()
    if unknown := [name for name in names if name not in BY_NAME]:
        print(f"no such fault: {', '.join(unknown)}. There are: {' '.join(BY_NAME)}")
        return 2
    faults = [BY_NAME[name] for name in names] or list(FAULTS)
    folder = Path(tempfile.mkdtemp(prefix="expense-tracker-drill-"))
    said: list[str] = []
    it = Field(folder, factor, said.append)
    results: list[Result] = []
    try:
        it.start()
        print(f"{len(faults)} faults, rules {factor:g} times as fast as shipped", flush=True)
        for fault in faults:
            result = drill(it, fault)
            result.problems += late(result)
            results.append(result)
            print(row(result, factor), flush=True)
    except (StartError, PostgresError, RuntimeError, requests.RequestException) as error:
        print(f"make drill: {error}\n" + "\n".join(said[-5:]))
    finally:
        it.stop()
    well = len(results) == len(faults) and not any(result.problems for result in results)
    if well:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"logs are in {it.layout.logs}")
    report(results, factor)
    return 0 if well else 1


def report(results: list[Result], factor: float) -> None:
    """The results as JSON, where ``REPORT`` names a file."""
    if not (name := os.environ.get("REPORT", "")):
        return
    content = {
        "machine": machine(),
        "factor": factor,
        "results": [asdict(result) for result in results],
    }
    Path(name).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
