"""A configuration that imports Django, and a client of HTTP, before telemetry's hooks."""

import django.db
import requests

from telemetry.gunicorn import Logger, begin_instance, end_instance, worker_begins, worker_ends

begin_instance()
logger_class = Logger
post_fork = worker_begins
worker_exit = worker_ends
on_exit = end_instance
raw_env = [f"IMPORTED={requests.__name__} {django.db.__name__}"]
