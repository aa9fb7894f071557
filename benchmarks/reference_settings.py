"""The service with the usual assembly in telemetry's place: the other yardstick.

django-prometheus with its middlewares and its PostgreSQL backend, django-structlog with JSON lines,
and (in ``benchmarks.reference_wsgi``) OpenTelemetry's Django and psycopg instrumentations. Each is
set up as its own documentation says; nothing is left out or slowed down. django-prometheus keeps
its values in memory, the quickest that it has, and records more series for a request than
telemetry does (sizes of bodies, views, transports and the like).
"""

import structlog

from benchmarks.bare_settings import *  # noqa: F403
from benchmarks.bare_settings import DATABASES as BARE_DATABASES
from benchmarks.bare_settings import INSTALLED_APPS as BARE_APPS
from benchmarks.bare_settings import MIDDLEWARE as BARE_MIDDLEWARE

INSTALLED_APPS = ["django_prometheus", "django_structlog", *BARE_APPS]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    *BARE_MIDDLEWARE,
    "django_structlog.middlewares.RequestMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
DATABASES = {
    "default": {
        **BARE_DATABASES["default"],
        "ENGINE": "django_prometheus.db.backends.postgresql",
    }
}

LOGGING_CONFIG = "logging.config.dictConfig"  # type: ignore[assignment]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json_formatter": {
            "()": structlog.stdlib.ProcessorFormatter,
            "processor": structlog.processors.JSONRenderer(),
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json_formatter"}},
    "loggers": {"django_structlog": {"handlers": ["console"], "level": "INFO"}},
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
