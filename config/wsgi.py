"""WSGI entry point: `gunicorn -c config/gunicorn.conf.py config.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

from config import environment

environment.serves_requests = True
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
