"""``make doctor``: one line for each question, and exit status 1 when one failed.

make doctor                                   # the local run
make doctor API_URL=https://api.example.org PROMETHEUS_URL=… ALERTMANAGER_URL=… JAEGER_URL=…
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from tools.doctor.check import System, answer
from tools.doctor.checks import CHECKS
from tools.local import runs
from tools.local.layout import Layout, from_environment

#: Seconds for one check; each has shorter limits of its own.
LIMIT = 45.0


def examine(system: System, limit: float = LIMIT, say: Callable[[str], object] = print) -> int:
    """Ask every question; how many failed."""
    failed = 0
    for check in CHECKS:
        given = answer(check, system, limit)
        say(str(given))
        failed += given.state == "FAIL"
    return failed


def address(name: str, default: str) -> str:
    """An address from the environment. Ends the program for one that is none."""
    text = os.environ.get(name, "").strip().rstrip("/")
    if not text:
        return default
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        sys.exit(f"{name} must be an address like http://127.0.0.1:8080, not {text!r}")
    return text


def from_variables() -> System:
    """The system that the variables name, else the local run."""
    layout = from_environment()
    state = runs.read_state(layout.state)
    layout = Layout(layout.folder, {**state.get("ports", {}), **layout.ports})
    local = layout.url("API_PORT")
    api = address("API_URL", local)
    return System(
        api=api,
        prometheus=address("PROMETHEUS_URL", layout.url("PROMETHEUS_SERVER_PORT")),
        alertmanager=address("ALERTMANAGER_URL", layout.url("ALERTMANAGER_PORT")),
        jaeger=address("JAEGER_URL", layout.url("JAEGER_QUERY_PORT")),
        layout=layout if api == local and layout.folder.is_dir() else None,
    )


def main() -> int:
    try:
        failed = examine(from_variables(), say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        return 130
    print(f"{failed} of {len(CHECKS)} failed" if failed else "nothing is wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
