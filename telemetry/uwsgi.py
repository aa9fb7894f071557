"""uWSGI with several processes: one instance of many workers, without anything to call.

With ``lazy-apps`` each worker loads the application and shares the folder of its master. Where the
master loads it, ``py-call-osafterfork`` lets each worker begin anew: uWSGI (2.0) forks without
Python's knowledge otherwise.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import Any

from telemetry.metrics.store import instance


def _server() -> Any:
    """Return uWSGI's own module, which only its processes have; None elsewhere."""
    return sys.modules.get("uwsgi")


def shares_instance() -> bool:
    """Share values with the other workers; False where this is not uWSGI, or is set up wrongly."""
    if _server() is None or problem():
        return False
    instance.share(_server().masterpid())
    return True


def at_exit(end: Callable[[], None]) -> None:
    """Call ``end`` when this worker of uWSGI is asked to go, by a reload or after many requests.

    uWSGI (2.0) runs what ``atexit`` has in a worker that ends so.
    """
    if _server() is not None:
        atexit.register(end)


def is_master() -> bool:
    """Whether this is a master that loads the application and forks workers."""
    server = _server()
    return server is not None and server.masterpid() > 0 and server.worker_id() == 0


def problem() -> str:
    """Return what is wrong with uWSGI's options, in one sentence; empty where all is well."""
    server = _server()
    if server is None:
        return ""
    if not ({"enable-threads", "threads"} & server.opt.keys()):
        return "without enable-threads = true no spans are exported and no gauges are refreshed"
    if server.numproc == 1:
        return ""
    if not server.masterpid():
        return "each process keeps its metrics for itself without master = true"
    if is_master() and "py-call-osafterfork" not in server.opt:
        return "each worker keeps its metrics for itself without lazy-apps = true"
    return ""
