"""The last full results of ``make drill`` and ``make quiet`` as a page of the docs.

python -m scripts.drill.page drill.json quiet.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.drill.faults import BY_NAME
from scripts.local.layout import ROOT

PAGE = ROOT / "docs/drills.md"
#: What stands after it in the page is written anew.
MARK = "<!-- results: python -m scripts.drill.page drill.json quiet.json -->"


def results(drill: dict[str, Any], quiet: dict[str, Any]) -> str:
    factor = drill["factor"]
    lines = [
        f"## Last results: {drill['machine']}, factor {factor:g}",
        "",
        "Seconds as measured, in brackets minutes at full length.",
        "",
        "| fault | what is done | alert | came after | allowed | over after | told | also fired |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for result in drill["results"]:
        because = BY_NAME[result["fault"]].because
        lines.append(
            f"| `{result['fault']}` | {result['what']} | {result['alert']} "
            f"| {result['fired']:.1f} ({result['fired'] * factor / 60:.1f} min) "
            f"| {result['allowed']:.1f}" + (f" ({because})" if because else "") + " "
            f"| {result['resolved']:.1f} | {result['notifications']} "
            f"| {', '.join(result['companions']) or '-'} |"
        )
    lines += [
        f"\n{each['fault']}: {', '.join(each['problems'])}"
        for each in drill["results"]
        if each["problems"]
    ]
    lines += [
        "",
        "Told is the number of notifications that named the alert while it fired; 0 where a "
        "critical",
        "alert of the same service held the warning back, or where Alertmanager was away.",
        "",
        f"## The quiet hour: {quiet['machine']}, factor {quiet['factor']:g}",
        "",
        "```",
        *quiet["lines"],
        "```",
    ]
    return "\n".join(lines)


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    drill, quiet = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(f"{head}{MARK}\n\n{results(drill, quiet)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
