"""The faults, and the last full results of ``make drill`` and ``make quiet``, in the docs.

    python -m tools.drill.page drill.json full-length.json quiet.json
    python -m tools.drill.page        # the tables of the code alone; the results stay

The second file is a drill with ``FACTOR=1``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tools.drill.fault import RULES, Fault
from tools.drill.faults import FAULTS
from tools.drill.quiet import EXPECTED
from tools.local.layout import ROOT

PAGE = ROOT / "docs/drills.md"
RESULTS = "## Last results"
#: What stands after it in the page is written anew.
MARK = "<!-- written by: python -m tools.drill.page drill.json full-length.json quiet.json -->"


def faults() -> str:
    """Every fault, the alert that must come, and what more time than usual it may take.

    Minutes are of full length, seconds are the service's own and never compressed.
    """
    lines = [
        "| fault | what is done | alert | severity | moves | more time, because |",
        "|---|---|---|---|---|---|",
    ]
    for fault in FAULTS:
        more = [f"{fault.window / 60:g} min"] if fault.window else []
        more += [f"{fault.lag:g} s"] if fault.lag else []
        why = f"{' and '.join(more)}: {fault.because}" if more else "-"
        lines.append(
            f"| `{fault.name}` | {fault.what} | {fault.alert} "
            f"| {RULES[fault.alert]['labels']['severity']} | {_moves(fault)} | {why} |"
        )
    return "\n".join(lines)


def _moves(fault: Fault) -> str:
    """The names of the series that must be at rest before the fault, or why there is none."""
    names = dict.fromkeys(f"`{each.name}`" for each in fault.moves)
    return ", ".join(names) or f"none: {fault.moves_nothing}"


def companions() -> str:
    """Which other alerts may fire during which faults, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for fault in FAULTS:
        for alert, reason in fault.companions.items():
            if alert != fault.alert:
                reasons.setdefault((alert, reason), []).append(fault.name)
    lines = ["| alert | may fire as well during | because |", "|---|---|---|"]
    lines += [
        f"| {alert} | {', '.join(f'`{name}`' for name in names)} | {reason} |"
        for (alert, reason), names in sorted(reasons.items())
    ]
    return "\n".join(lines)


def times(drill: dict[str, Any]) -> str:
    """What ``make drill`` measured: seconds, and in brackets minutes at full length."""
    factor = drill["factor"]

    def both(seconds: float) -> str:
        return f"{seconds:.1f} ({seconds * factor / 60:.1f} min)"

    lines = [
        "| fault | alert, its `for` | made in | came after | allowed | over after | told "
        "| also fired |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{result['fault']}` | {result['alert']}, {result['hold'] / 60:g} min "
        f"| {result['made']:.1f} | {both(result['fired'])} | {both(result['allowed'])} "
        f"| {both(result['resolved'])} "
        f"| {result['notifications']} | {', '.join(result['companions']) or '-'} |"
        for result in drill["results"]
    ]
    lines += [
        f"\n**{result['fault']}**: {'; '.join(result['problems'])}"
        for result in drill["results"]
        if result["problems"]
    ]
    return "\n".join(lines)


def hour(quiet: dict[str, Any]) -> str:
    """What ``make quiet`` did and saw."""
    lines = ["| phase | minutes | answers | beside it | fired |", "|---|---|---|---|---|"]
    lines += [
        f"| {phase['what']} | {phase['minutes']:g} | {phase['answers']} | {phase['did'] or '-'} "
        f"| {', '.join(phase['fired']) or 'nothing'} |"
        for phase in quiet["phases"]
    ]
    return "\n".join(lines)


def tables() -> str:
    """What the code says, without any result."""
    rule = "From a fault's beginning until its alert is over nothing else may fire but these."
    return f"## The faults\n\n{faults()}\n\n## Expected companions\n\n{rule}\n\n{companions()}"


def not_run(results: str) -> str:
    """Faults without a row in the tables of results, as a sentence; empty where there is none."""
    rows = set(re.findall(r"^\| `([a-z-]+)` ", results, re.MULTILINE))
    missing = [f"`{fault.name}`" for fault in FAULTS if fault.name not in rows]
    return f"Added since, and without a result here: {', '.join(missing)}.\n\n" if missing else ""


def content(drill: dict[str, Any], full_length: dict[str, Any], quiet: dict[str, Any]) -> str:
    return "\n\n".join(
        [
            tables(),
            RESULTS,
            f"{drill['machine']}; factor {drill['factor']:g}. Seconds as measured, in brackets "
            "minutes at full length.",
            times(drill),
            "Told is the number of notifications that named the alert while it fired: 0 where "
            "Alertmanager was away.",
            f"At full length ({full_length['machine']}; factor {full_length['factor']:g}):",
            times(full_length),
            "## The last quiet hour",
            f"{quiet['machine']}; factor {quiet['factor']:g}: the hour takes "
            f"{60 / quiet['factor']:g} minutes.",
            hour(quiet),
            f"Result: {quiet['result']}. Warnings that are expected on such a day: "
            + ("; ".join(f"{name}: {why}" for name, why in EXPECTED.items()) or "none")
            + ".",
        ]
    )


def main() -> int:
    if len(sys.argv) not in {1, 4}:
        print(__doc__)
        return 2
    head, _, old = PAGE.read_text().partition(MARK)
    if len(sys.argv) == 1:
        results = re.sub(r"^Added since, .*\n\n", "", old.partition(RESULTS)[2].lstrip())
        text = f"{tables()}\n\n{RESULTS}\n\n{not_run(results)}{results.rstrip()}"
    else:
        text = content(*(json.loads(Path(name).read_text()) for name in sys.argv[1:]))
    PAGE.write_text(f"{head}{MARK}\n\n{text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
