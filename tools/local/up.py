"""``make up``: start everything, say where it is, and stop it all on Ctrl-C.

With ``--reload`` (``make dev``) the API restarts by itself when its code changes.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from testing.postgres import PostgresError
from tools.local import runs, table
from tools.local.layout import Layout, from_environment
from tools.local.system import StartError, System


def say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.local.up")
    parser.add_argument(
        "--reload", action="store_true", help="restart the API when its code changes"
    )
    arguments = parser.parse_args()
    layout = from_environment()
    layout.make()
    lock = runs.take(layout)
    if lock is None:
        say(f"already running (process {runs.supervisor(layout)}); make down stops it")
        return 1
    with lock:
        # A killed run leaves its own behind, with other ports.
        layout.state.unlink(missing_ok=True)
        stack = os.environ.get("STACK", "1") not in {"0", "no", "off"}
        return run(layout, stack=stack, reload=arguments.reload)


def run(layout: Layout, *, stack: bool, reload: bool = False) -> int:
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            # Out of whatever waits; the code below stops all that was started.
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    system = System(layout, say)
    system.local_links = True
    system.reload = reload
    status = 0
    try:
        say("starting PostgreSQL and the API ...")
        system.start_service()
        if stack:
            system.start_stack()
        runs.write_state(layout, system.state(stack=stack))
        missing = system.stack.missing if system.stack else {}
        say(table.text(layout, missing, stack=stack) + "\n" + table.welcome(layout, system.secrets))
        say("Ctrl-C stops everything; the data stays.")
        status = watch(system, stack=stack)
    except (StartError, PostgresError) as error:
        say(f"make up: {error}")
        status = 1
    except KeyboardInterrupt:
        say("\nstopping ...")
    finally:
        stopping = True
        system.stop()
        layout.state.unlink(missing_ok=True)
    return status


def watch(system: System, *, stack: bool) -> int:
    """Look after the parts until the API or its database ends."""
    known = system.state(stack=stack)
    while True:
        if problem := system.problem():
            system.say(f"make up: {problem}")
            return 1
        if system.stack is not None:
            system.stack.tick()
        if (now := system.state(stack=stack)) != known:
            runs.write_state(system.layout, now)
            known = now
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
