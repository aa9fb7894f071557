"""Hooks for ``gunicorn.conf.py``: one instance of many workers.

::

    from telemetry.gunicorn import Logger, begin_instance, end_instance, worker_begins, worker_ends

    begin_instance()
    logger_class = Logger
    post_fork = worker_begins
    worker_exit = worker_ends
    on_exit = end_instance
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.apps import apps
from gunicorn.glogging import Logger as GunicornLogger

from telemetry import greenlets, runtime, settings
from telemetry.logs import pipeline
from telemetry.metrics import process
from telemetry.metrics.store import instance


class Logger(GunicornLogger):
    """gunicorn's own lines through our pipeline, its line a request left out."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)  # type: ignore[no-untyped-call]
        pipeline.configure_server()
        if instance.folder is not None and instance.master != os.getpid():
            # A daemon: the master is a child of the process that read the configuration.
            begin_instance()
        _start_again_as_before(cfg)
        # The first moment at which the kind of worker is known, and the application is not loaded.
        greenlets.start_patched(cfg)


def begin_instance() -> None:
    """In the master, before the application is loaded: check the environment, open the store."""
    pipeline.configure_server()
    settings.check_environment()
    # Set in a new master that SIGUSR2 started: the old one serves beside it until it is told to go.
    instance.share(os.getpid(), takes_over_from=int(os.environ.get("GUNICORN_PID", "0")))
    runtime.defer()


def _start_again_as_before(cfg: Any) -> None:
    """Let SIGUSR2 start ``python -m gunicorn`` as a module again.

    gunicorn (27.0) would run the module's file as a script; its folder is first on Python's path
    then, where ``http`` and ``config`` are gunicorn's own. Under ``gevent.monkey`` it would look
    for a file that has the module's name.
    """
    given = cfg.pre_exec

    def pre_exec(arbiter: Any) -> None:
        arguments = arbiter.START_CTX["args"]
        script = Path(arguments[1])
        if script == Path("gunicorn") or script.parts[-2:] == ("gunicorn", "__main__.py"):
            arguments[1:2] = ["-m", "gunicorn"]
        given(arbiter)

    cfg.set("pre_exec", pre_exec)


def worker_begins(arbiter: Any, worker: Any) -> None:
    """``post_fork``: in a new worker, before it takes requests and the rights of its user."""
    if instance.folder is not None:
        instance.share(arbiter.pid)
    greenlets.warn_if_unpatched(worker.cfg)
    instance.give_to(worker.cfg.uid, worker.cfg.gid)
    if apps.ready:
        # Without ``preload_app`` the middleware does so, when the worker has loaded it.
        runtime.start()


def worker_ends(_arbiter: Any, _worker: Any) -> None:
    """``worker_exit``: in a worker that goes; its spans are exported within their deadline."""
    # gunicorn lets a worker that an exception ended exit with -1, one that cannot start with 3.
    reason = sys.exc_info()[1]
    runtime.stop(crashed=isinstance(reason, SystemExit) and bool(reason.code))


def end_instance(_arbiter: Any) -> None:
    """``on_exit``: in the master, when all workers are gone."""
    process.keep_cpu(instance)
    instance.remove()
