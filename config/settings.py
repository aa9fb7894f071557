"""Django settings. Everything that differs between places comes from the environment."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from config import database, environment

BASE_DIR = Path(__file__).resolve().parent.parent

DEMO = environment.DEMO.read()
DEBUG = environment.DJANGO_DEBUG.read()
SECRET_KEY = environment.secret_key(demo=DEMO)
ALLOWED_HOSTS = list(environment.DJANGO_ALLOWED_HOSTS.read())
CSRF_TRUSTED_ORIGINS = list(environment.CSRF_TRUSTED_ORIGINS.read())
CORS_ALLOWED_ORIGINS = list(environment.CORS_ALLOWED_ORIGINS.read())
JAEGER_UI_URL = environment.JAEGER_UI_URL.read()
GRAFANA_URL = environment.GRAFANA_URL.read()
DEMO_RATES_URL = environment.DEMO_RATES_URL.read()
DEMO_PASSWORD = environment.DEMO_PASSWORD.read()
DEMO_ADMIN_PASSWORD = environment.DEMO_ADMIN_PASSWORD.read()

INSTALLED_APPS = [
    "telemetry",
    "expenses",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "django_filters",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    "telemetry.middleware.TelemetryMiddleware",
    "expenses.content_security.content_security_middleware",
    # Before those that answer by themselves: static files, redirects and refusals have it as well.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "expenses.request_body.bounded_body_middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

if environment.DJANGO_STRUCTLOG.read():
    INSTALLED_APPS.append("django_structlog")
    MIDDLEWARE.append("django_structlog.middlewares.RequestMiddleware")

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": database.default(serves_requests=environment.serves_requests)
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SESSION_ENGINE = "expenses.sessions"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LOGIN_PROBE_TOKEN = environment.login_probe_token()
LOGIN_PROBE_USERNAME = environment.LOGIN_PROBE_USERNAME.read()

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# Without collectstatic (the local run, tests) whitenoise serves from the apps' own folders.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()
warnings.filterwarnings("ignore", message="No directory at")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Bodies are small here: expenses.request_body refuses larger ones of any type with 413.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

# Behind a proxy with TLS, which tells by X-Forwarded-Proto (see FORWARDED_ALLOW_IPS): servers set
# the request's scheme by it, so SECURE_PROXY_SSL_HEADER is not needed.
HTTPS = environment.https(local=DEMO or DEBUG)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = environment.DJANGO_HSTS_SECONDS.read() if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = environment.DJANGO_HSTS_SUBDOMAINS.read()
SECURE_HSTS_PRELOAD = environment.DJANGO_HSTS_PRELOAD.read()

# All logging goes through telemetry.logs, which sets itself up.
LOGGING_CONFIG = None

TELEMETRY: dict[str, Any] = {
    "SERVICE_NAME": "expense-tracker-api",
    # The Jaeger agent on UDP unless the environment names an OTLP endpoint or another exporter.
    "TRACES_EXPORTER": "jaeger",
    "METRICS_PORT": 8000,
    # A stranger's traceparent must not force sampling: outside a debug run each request starts
    # a trace of its own, with a link to the caller's.
    "TRUST_INCOMING_TRACE": DEBUG or DEMO,
    "TRUSTED_PROXIES": environment.FORWARDED_ALLOW_IPS.read(),
    "MERGE_DJANGO_STRUCTLOG": environment.DJANGO_STRUCTLOG.read(),
}

from config.api_settings import (  # noqa: E402, F401
    CORS_ALLOW_HEADERS,
    CORS_EXPOSE_HEADERS,
    CORS_URLS_REGEX,
    REST_FRAMEWORK,
    REST_KNOX,
    SPECTACULAR_SETTINGS,
)
