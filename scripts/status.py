"""``make status``: what runs, where, and whether it answers."""

from __future__ import annotations

import sys

from scripts.local import runs, table
from scripts.local.layout import Layout, from_environment
from scripts.local.parts import answers


def main() -> int:
    layout = from_environment()
    process = runs.supervisor(layout)
    if process is None:
        print("nothing is running; make up starts everything")
        return 1
    state = runs.read_state(layout.state)
    layout = Layout(layout.folder, {**layout.ports, **state.get("ports", {})})
    print(f"running as process {process}")
    down = False
    for name, address, _, ready in table.rows(layout):
        in_stack = name in {"Prometheus", "Alertmanager", "Jaeger"}
        if in_stack and not state.get("stack", True):
            continue
        there = answers(ready)
        down = down or (not there and not in_stack)
        print(f"  {name:13} {address:36} {'answers' if there else 'does not answer'}")
    return 1 if down else 0


if __name__ == "__main__":
    sys.exit(main())
