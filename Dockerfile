# The service as an image: dependencies by hash, static files collected, no root at run time.
FROM python:3.13.14-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements/base.txt requirements/sbom.txt /requirements/
# Without pip: nothing is installed at run time.
RUN python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install --quiet --require-hashes -r /requirements/base.txt \
 # Sources of scripts and of translations: what is made of them is there.
 && find /venv \( -name '*.map' -o -name '*.po' \) -delete
# What the image holds, as CycloneDX.
RUN python -m venv --without-pip /sbom \
 && python -m pip --python /sbom/bin/python install --quiet --require-hashes -r /requirements/sbom.txt \
 && /sbom/bin/cyclonedx-py environment --output-format JSON --output-file /sbom.cdx.json /venv/bin/python

FROM python:3.13.14-slim
# The base image's own package manager, wherever it has it.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/site-packages/pip* /usr/local/lib/python3.*/ensurepip \
        /usr/bin/pip* /usr/lib/python3/dist-packages/pip* /usr/lib/python3.*/ensurepip \
 && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin app
COPY --from=build /venv /venv
WORKDIR /app
COPY --from=build /sbom.cdx.json ./
COPY manage.py ./
COPY config config
COPY expenses expenses
COPY telemetry telemetry
ARG BUILD_VERSION=unknown
ARG BUILD_COMMIT=unknown
LABEL org.opencontainers.image.title="expense-tracker-api" \
      org.opencontainers.image.description="An expense service whose every request can be seen" \
      org.opencontainers.image.version=$BUILD_VERSION \
      org.opencontainers.image.revision=$BUILD_COMMIT
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
