"""``make down``: stop a running ``make up`` from elsewhere, and wait until it is gone."""

from __future__ import annotations

import os
import signal
import sys
import time

from tools.local import runs
from tools.local.layout import from_environment

_PATIENCE = 60.0


def main() -> int:
    layout = from_environment()
    process = runs.supervisor(layout)
    if process is None:
        print("nothing is running")
        return 0
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while runs.supervisor(layout) is not None:
        if time.monotonic() > deadline:
            print(f"process {process} did not stop; kill -9 {process} ends it")
            return 1
        time.sleep(0.1)
    print("stopped; the data stays (make clean removes it)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
