"""gunicorn's gevent worker: the process is patched before anything else is imported.

The worker patches the standard library when it starts. What was imported before, by the hooks in
``gunicorn.conf.py`` or by a preloaded application, keeps locks, thread-local data and sockets that
know nothing of greenlets: Django's connections are shared by all of them and psycopg blocks the
whole worker (seen with gevent 26.9, Django 5.2). So a master that was not patched starts again
under ``python -m gevent.monkey``, with the same process id, before it listens.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

from telemetry.metrics.store import instance

logger = logging.getLogger(__name__)

#: Set to the process id for the second start, so that there is no third. A new master that SIGUSR2
#: starts inherits it, and is another process.
_STARTED_PATCHED = "TELEMETRY_STARTED_PATCHED"


def start_patched(cfg: Any) -> None:
    """Start this master again under ``gevent.monkey`` if its workers are gevent's and it is not
    patched. Does not return then."""
    started_patched = os.environ.pop(_STARTED_PATCHED, "") == str(os.getpid())
    if started_patched or not _is_unpatched(cfg):
        return
    logger.info("workers of gevent: starting again with the standard library patched first")
    instance.remove()
    logging.shutdown()
    os.environ[_STARTED_PATCHED] = str(os.getpid())
    os.execv(sys.executable, command(sys.executable, sys.orig_argv, sys.argv))  # noqa: S606


def warn_if_unpatched(cfg: Any) -> None:
    """In a worker: log an ERROR if it will be patched too late, where ``Logger`` is not used."""
    if _is_unpatched(cfg):
        logger.error(
            "this worker of gevent imported modules before they were patched, and requests will "
            "fail: set logger_class to telemetry.gunicorn.Logger, or begin gunicorn.conf.py with "
            "gevent.monkey.patch_all()"
        )


def _is_unpatched(cfg: Any) -> bool:
    if (
        "gevent" not in cfg.worker_class.__module__
        and "gunicorn.workers.ggevent" not in sys.modules
    ):
        return False
    from gunicorn.workers.ggevent import GeventWorker

    monkey: Any = importlib.import_module("gevent.monkey")

    return issubclass(cfg.worker_class, GeventWorker) and not monkey.is_module_patched("threading")


def command(python: str, original: list[str], arguments: list[str]) -> list[str]:
    """Return the command line that runs the same program under ``gevent.monkey``.

    ``original`` is ``sys.orig_argv``, with the interpreter's own options; ``arguments`` is
    ``sys.argv``, which begins with the path of the script or of the module that ``-m`` named.
    """
    script, *given = arguments
    options = original[1 : len(original) - len(given)]
    if "-m" in options:
        module = options[options.index("-m") + 1]
        options = options[: options.index("-m")]
        program = ["--module", module]
    else:
        options = options[:-1]
        program = [str(Path(script).absolute())]
    return [python, *options, "-m", "gevent.monkey", *program, *given]
