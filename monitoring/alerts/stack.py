"""Alerts of the monitoring stack about itself."""

from __future__ import annotations

from monitoring.alerts.alert import Alert
from monitoring.alerts.table import THRESHOLDS
from monitoring.alerts.words import COUNT, bound
from monitoring.render import seconds

#: What Prometheus counts when samples are lost.
LOSING_DATA = (
    "prometheus_tsdb_compactions_failed_total",
    "prometheus_tsdb_wal_corruptions_total",
    "prometheus_tsdb_wal_writes_failed_total",
    "prometheus_tsdb_head_truncations_failed_total",
    "prometheus_target_scrapes_exceeded_sample_limit_total",
)


def alerts() -> list[Alert]:
    return [
        Alert(
            "Watchdog",
            "none",
            "vector(1)",
            "This alert always fires",
            """It shows that alerts get from Prometheus through Alertmanager to the outside. Send it
            to a dead man's switch: a service that calls you when it stops coming.""",
            "monitoring-itself",
            (),
            stack=True,
        ),
        _down(
            "PrometheusDown",
            "critical",
            "prometheus",
            """Alerts of that Prometheus are not evaluated. One that is alone cannot say so itself:
            a second one, or the dead man's switch behind Watchdog, does.""",
        ),
        _down(
            "AlertmanagerDown",
            "critical",
            "alertmanager",
            """Nobody is told of any alert. With one Alertmanager alone this alert is seen in
            Prometheus only; the dead man's switch behind Watchdog calls.""",
        ),
        _down(
            "JaegerDown",
            "warning",
            "jaeger",
            """New traces are lost, old ones cannot be looked at. The service counts what it
            loses and goes on; requests are not affected.""",
        ),
        _span_metrics(),
        _jaeger_losing(),
        _jaeger_disk(),
        _rules(),
        _notifications(),
        _losing_data(),
        _configuration(),
    ]


def _down(name: str, severity: str, job: str, meaning: str) -> Alert:
    return Alert(
        name,
        severity,
        f'up{{job="{job}"}} == 0 or absent(up{{job="{job}"}})',
        f"{job.capitalize()}{{{{ with $labels.instance }}}} at {{{{ . }}}}{{{{ end }}}} is down",
        f"No answer to its scrape for {bound(THRESHOLDS[name].hold)}. {meaning}",
        "monitoring-itself",
        (),
        stack=True,
    )


def _growing(name: str, *metrics: str) -> str:
    """One of the counters grew within the window."""
    window = THRESHOLDS[name].window
    parts = (f"increase({metric}[{window}]) > {THRESHOLDS[name].above:g}" for metric in metrics)
    return " or ".join(parts)


def _span_metrics() -> Alert:
    return Alert(
        "SpanMetricsDown",
        "warning",
        'up{job="span-metrics"} == 0',
        "The span metrics at {{ $labels.instance }} are not scraped",
        f"""No answer to their scrape for {bound(THRESHOLDS["SpanMetricsDown"].hold)}, while Jaeger
        itself answers. Its Monitor tab shows no new figures; traces, alerts and dashboards do not
        need them.""",
        "monitoring-itself",
        (),
        stack=True,
    )


def _jaeger_losing() -> Alert:
    return Alert(
        "JaegerLosingSpans",
        "warning",
        _growing(
            "JaegerLosingSpans",
            "otelcol_receiver_refused_spans_total",
            "otelcol_receiver_failed_spans_total",
            "otelcol_exporter_send_failed_spans_total",
        ),
        "Jaeger at {{ $labels.instance }} loses spans",
        f"""{COUNT} spans were refused or could not be stored. Traces have holes.
        A full disk or slow storage is the usual cause; Jaeger's log says.""",
        "monitoring-itself",
        (),
        stack=True,
    )


def _jaeger_disk() -> Alert:
    limit = THRESHOLDS["JaegerDiskFilling"]
    free = "jaeger_storage_badger_value_log_bytes_available"
    return Alert(
        "JaegerDiskFilling",
        "warning",
        # A trend of less than two hours is none: Badger writes in steps, and so do others.
        f"""{free} < {limit.above:.0f}
        or (predict_linear({free}[{limit.window}], 24 * 3600) < 0 and {free} offset 2h) * 0 + {free}
        """,
        "The disk of the spans at {{ $labels.instance }} has {{ $value | humanize }}B left",
        f"""Less than {limit.above / 1e9:g} GB are free where Jaeger keeps spans, or by the last
        {bound(limit.window)} it is full within a day. Badger has no bound by size: on a full disk
        spans are lost, and Jaeger may not start again.""",
        "monitoring-itself",
        (),
        stack=True,
    )


def _rules() -> Alert:
    return Alert(
        "RuleEvaluationFailing",
        "critical",
        _growing(
            "RuleEvaluationFailing",
            "prometheus_rule_evaluation_failures_total",
            "prometheus_rule_group_iterations_missed_total",
        ),
        "Prometheus cannot evaluate rules: {{ $labels.rule_group }}",
        """Rules of this group fail or come too late, so their alerts are blind. The page Rules of
        Prometheus, or its log, names the rule and the error.""",
        "monitoring-itself",
        (),
        stack=True,
    )


def _notifications() -> Alert:
    return Alert(
        "NotificationsFailing",
        "critical",
        _growing(
            "NotificationsFailing",
            "prometheus_notifications_dropped_total",
            "prometheus_notifications_errors_total",
            "alertmanager_notifications_failed_total",
        ),
        "Notifications of alerts do not arrive{{ with $labels.integration }} ({{ . }}){{ end }}",
        """Prometheus could not hand alerts to Alertmanager, or Alertmanager could not send them on.
        People may not know of alerts that fire now: look at the list of alerts yourself.""",
        "monitoring-itself",
        (),
        stack=True,
    )


def _losing_data() -> Alert:
    return Alert(
        "PrometheusLosingData",
        "critical",
        f"{_growing('PrometheusLosingData', *LOSING_DATA)} or {_young_losses()}",
        "Prometheus at {{ $labels.instance }} loses samples",
        """Its storage could not write, or a target gave more samples than allowed. A full disk is
        the usual cause. Dashboards and alerts miss what was lost.""",
        "monitoring-itself",
        (),
        stack=True,
    )


def _young_losses() -> str:
    """What a Prometheus that started within the window has counted in all: it may come back with a
    damaged write-ahead log, and its counter begins at 1."""
    age = seconds(THRESHOLDS["PrometheusLosingData"].window)
    young = f"time() - process_start_time_seconds < {age:.0f}"
    parts = " or ".join(f"{metric} > 0" for metric in LOSING_DATA)
    return f"({parts}) and on (job, instance) {young}"


def _configuration() -> Alert:
    return Alert(
        "ConfigurationNotLoaded",
        "warning",
        """prometheus_config_last_reload_successful == 0
        or alertmanager_config_last_reload_successful == 0""",
        "{{ $labels.job }} at {{ $labels.instance }} runs on its old configuration",
        f"""The last reload failed {bound(THRESHOLDS["ConfigurationNotLoaded"].hold)} ago or more.
        It goes on with what it had, and will not start with what is there now.""",
        "monitoring-itself",
        (),
        stack=True,
    )
