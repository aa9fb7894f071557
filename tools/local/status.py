"""``make status``: what runs, where, and what each part really answers there."""

from __future__ import annotations

import sys

from tools.local import runs, table
from tools.local.layout import Layout, from_environment
from tools.local.parts import answers, what_answers

#: Statuses that say that a part works and asks who is there.
_LOGIN = {"HTTP 401", "HTTP 403"}


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
    for row in table.rows(layout):
        in_stack = row.name in table.STACK
        if in_stack and not state.get("stack", True):
            continue
        ready = answers(row.ready)
        down = down or (not ready and not in_stack)
        print(f"  {row.name:13} {row.address:36} {described(row, ready=ready)}")
    if not state.get("stack", True):
        print("  the monitoring stack is left out (STACK=0)")
    return 1 if down else 0


def described(row: table.Row, *, ready: bool) -> str:
    """What a part answers, in words."""
    found = what_answers(row.address)
    if not ready:
        return "does not answer" if found == "no answer" else f"is not ready ({found})"
    if instead := table.without_page(row):
        return f"answers: {instead}"
    if found in _LOGIN:
        return f"answers: asks for a login ({found})"
    return f"answers: {found}"


if __name__ == "__main__":
    sys.exit(main())
