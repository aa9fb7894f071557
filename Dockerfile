# The service as an image: dependencies by hash, static files collected, no root at run time.
FROM python:3.13.9-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements/base.txt /requirements.txt
RUN /venv/bin/pip install --quiet --require-hashes -r /requirements.txt

FROM python:3.13.9-slim
RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin app
COPY --from=build /venv /venv
WORKDIR /app
COPY manage.py ./
COPY config config
COPY expenses expenses
COPY telemetry telemetry
ARG BUILD_VERSION=unknown
ARG BUILD_COMMIT=unknown
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BUILD_VERSION=$BUILD_VERSION \
    BUILD_COMMIT=$BUILD_COMMIT
# Settings want an environment; collecting files connects to nothing.
RUN DEMO=1 DATABASE_URL=postgresql://build@127.0.0.1/build OTEL_TRACES_EXPORTER=none \
    python manage.py collectstatic --noinput --verbosity 0
USER 10001
EXPOSE 8080 8000
# On the metrics-only port, which answers while every request thread is busy; with PROMETHEUS_PORT=0
# on the API's own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; port = os.environ.get('PROMETHEUS_PORT') or '8000'; urllib.request.urlopen('http://127.0.0.1:' + (port if port != '0' else '8080') + '/health/live', timeout=4)"]
CMD ["python", "-m", "gunicorn", "-c", "config/gunicorn.conf.py", "config.wsgi", "--bind", "0.0.0.0:8080"]
