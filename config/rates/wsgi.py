"""WSGI entry point: `gunicorn -c config/gunicorn.conf.py config.rates.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "config.rates.settings"

application = get_wsgi_application()
