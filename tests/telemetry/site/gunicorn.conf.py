"""The lines that `telemetry.gunicorn` tells, and no others: no preload, the sync worker."""

from telemetry.gunicorn import Logger, begin_instance, end_instance, worker_begins, worker_ends

begin_instance()
logger_class = Logger
post_fork = worker_begins
worker_exit = worker_ends
on_exit = end_instance
