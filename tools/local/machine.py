"""Where and when figures were taken."""

from __future__ import annotations

import os
import sys
import time


def machine() -> str:
    """One line that says where and when figures were taken."""
    model = "unknown CPU"
    with open("/proc/cpuinfo") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    version = ".".join(map(str, sys.version_info[:3]))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{today}, {model}, {os.cpu_count()} CPUs, Python {version}"
