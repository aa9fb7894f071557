"""ASGI entry point: `uvicorn config.asgi:application --log-config config/uvicorn.json`."""

import os

import django

from config import environment

environment.serves_requests = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# As django.core.asgi.get_asgi_application() does, with a handler of our own.
django.setup(set_prefix=False)

from expenses.request_body import BoundedASGIHandler  # noqa: E402

application = BoundedASGIHandler()
