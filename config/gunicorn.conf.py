"""gunicorn's settings: `python -m gunicorn -c config/gunicorn.conf.py config.wsgi`."""

from __future__ import annotations

import gc

from config import environment
from telemetry import gunicorn as telemetry

bind = "127.0.0.1:8080"
workers = environment.WEB_CONCURRENCY.read()
# Threads: gunicorn's sync worker would kill a long import or a streamed export at its timeout.
worker_class = "gthread"
threads = 4
preload_app = True
# Nobody uses the control socket, and two instances of a user would fight for its path.
control_socket_disable = True
# A request that was begun is answered before a worker stops.
graceful_timeout = 30
timeout = 60
keepalive = 5
worker_tmp_dir = environment.heartbeat_folder()
forwarded_allow_ips = environment.forwarded_allow_ips()


def pre_fork(_arbiter: object, _worker: object) -> None:
    """What was loaded before the fork stays: no worker looks through it for garbage again, and its
    pages stay shared."""
    gc.freeze()


logger_class = telemetry.Logger
post_fork = telemetry.worker_begins
worker_exit = telemetry.worker_ends
on_exit = telemetry.end_instance

telemetry.begin_instance()
