"""WSGI entry point: `gunicorn -c config/gunicorn.conf.py config.wsgi`."""

import os

import django

from config import environment

environment.serves_requests = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# As django.core.wsgi.get_wsgi_application() does, with a handler of our own.
django.setup(set_prefix=False)

from expenses.request_body import BoundedWSGIHandler  # noqa: E402

application = BoundedWSGIHandler()
