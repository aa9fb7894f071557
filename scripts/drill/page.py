"""The last full results of ``make drill`` and ``make quiet`` as a page of the docs.

python -m scripts.drill.page drill.json quiet.json > docs/drills.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.drill.faults import BY_NAME

_INTRO = """# Drills

An alert that nobody has seen fire is a hope. `make drill` starts the whole system (two instances of the API,
PostgreSQL and the second service behind TCP proxies, the monitoring stack), makes each fault below for
real, waits for its alert in Alertmanager, checks labels, links and notifications, ends the fault and waits
for the end of the alert. Faults come from outside: signals, the proxies, a table that is renamed, the
demo's switch. No metric is written by hand.

```bash
make drill                                    # all, thirty times as fast as shipped
make drill FAULT=database-stopped FACTOR=1    # one, at full length
make quiet                                    # an hour of a healthy day, compressed
make drill REPORT=drill.json                  # the results as JSON, too
```

One factor divides every duration of the shipped rules (`monitoring/render.py`): there is no second copy.
What is not compressed is the service's own time: a pool that waits 3 s for a connection, gauges that are
refreshed every 5 or 15 s. The column "allowed" is the alert's `for`, three scrapes (a fault begins between
two, an alert needs two, an evaluation follows), Alertmanager's wait, and what is named there.
Each fault begins with an empty Prometheus and Alertmanager. Five of the drills are part of `make test`.
"""


def page(drill: dict[str, Any], quiet: dict[str, Any]) -> str:
    factor = drill["factor"]
    lines = [
        _INTRO,
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
        "Told is the number of notifications that named the alert while it fired; 0 where a critical alert of the",
        "same service held the warning back, or where Alertmanager itself was away.",
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
    print(page(drill, quiet))
    return 0


if __name__ == "__main__":
    sys.exit(main())
