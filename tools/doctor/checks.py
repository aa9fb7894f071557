"""Every question, in the order in which they are asked."""

from __future__ import annotations

from tools.doctor import alertmanager, disk, jaeger, prometheus, service
from tools.doctor.check import Check

_LOG = "make status, then the end of its log in .local/logs (docker compose logs with containers)"

CHECKS = (
    Check("api", service.ready, f"make up starts it; {_LOG}"),
    Check("prometheus", prometheus.answers, _LOG),
    Check("alertmanager", alertmanager.answers, _LOG),
    Check("jaeger", jaeger.answers, _LOG),
    Check(
        "request",
        service.request,
        "TelemetryMiddleware must stand first in MIDDLEWARE; make logs tells the error",
        needs=("api",),
    ),
    Check(
        "log line",
        service.line,
        "LOG_FORMAT=json and LOG_LEVEL=info or lower; the log is written where make up runs",
        needs=("request",),
    ),
    Check(
        "trace",
        jaeger.trace,
        "OTEL_EXPORTER_OTLP_ENDPOINT must name Jaeger, and telemetry_spans_dropped_total on "
        "/metrics tells what is lost and why",
        needs=("request", "jaeger"),
    ),
    Check(
        "targets",
        prometheus.targets,
        "monitoring/prometheus/targets/ says where Prometheus looks; 401 is METRICS_TOKEN",
        needs=("prometheus",),
    ),
    Check(
        "series",
        prometheus.series,
        "see targets; a clock that is wrong makes samples old as well",
        needs=("prometheus",),
    ),
    Check(
        "exemplars",
        prometheus.exemplars,
        "Prometheus needs --enable-feature=exemplar-storage and must scrape OpenMetrics",
        needs=("prometheus", "request", "series"),
    ),
    Check(
        "rules",
        prometheus.rules,
        "make rules writes them, promtool check rules monitoring/prometheus/rules/*.yml",
        needs=("prometheus",),
    ),
    Check(
        "test alert",
        alertmanager.test_alert,
        "Alertmanager's log says why it does not take alerts",
        needs=("alertmanager",),
    ),
    Check(
        "watchdog",
        prometheus.watchdog,
        "see rules, and NotificationsFailing in monitoring/runbooks/",
        needs=("prometheus", "alertmanager"),
    ),
    Check(
        "disk",
        disk.room,
        "make room, or lower storage.tsdb.retention in monitoring/prometheus/prometheus.yml "
        "and JAEGER_SPANS_TTL",
    ),
)
