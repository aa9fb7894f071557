"""Alerts about telemetry that does not arrive: what the service itself loses."""

from __future__ import annotations

from monitoring.alerts.alert import Alert
from monitoring.alerts.counts import grown
from monitoring.alerts.table import JOB, THRESHOLDS
from monitoring.alerts.words import COUNT, bound

_SERVICE = f'job="{JOB}"'


def alerts() -> list[Alert]:
    return [_spans(), _log_lines(), _series(), _observations(), _store()]


def _grows(name: str, metric: str, by: str) -> str:
    limit = THRESHOLDS[name]
    return f"{grown(f'{metric}{{{_SERVICE}}}', by, limit.window)} > {limit.above:g}"


def _spans() -> Alert:
    return Alert(
        "TelemetrySpansDropped",
        "warning",
        _grows("TelemetrySpansDropped", "telemetry_spans_dropped_total", "job, instance, reason"),
        "{{ $labels.instance }} loses spans: {{ $labels.reason }}",
        f"""{COUNT} spans in {bound(THRESHOLDS["TelemetrySpansDropped"].window)}
        did not reach Jaeger. Traces have holes or are missing; requests are not affected. Reason
        export_failed: the receiver is away or refuses; queue_full: it is too slow; span_limit: one
        request made too many spans.""",
        "system-health",
        ("job", "instance"),
    )


def _log_lines() -> Alert:
    name = "TelemetryLogLinesDropped"
    return Alert(
        name,
        "warning",
        _grows(name, "telemetry_log_lines_dropped_total", "job, instance, reason"),
        "{{ $labels.instance }} loses log lines: {{ $labels.reason }}",
        f"""{COUNT} lines in {bound(THRESHOLDS[name].window)} were not written. Requests are not
        affected, and what happened to them is missing from the log. Reason queue_full: what reads
        standard error is too slow or stands still; closed: it is gone; write_failed: the disk;
        format_failed: a record that nobody can format.""",
        "system-health",
        ("job", "instance"),
    )


def _observations() -> Alert:
    name = "TelemetryObservationsDropped"
    return Alert(
        name,
        "warning",
        _grows(name, "telemetry_observations_dropped_total", "job, instance, reason"),
        "{{ $labels.instance }} cannot record what it measures: {{ $labels.reason }}",
        f"""{COUNT} observations in {bound(THRESHOLDS[name].window)} are in no metric: counters and
        histograms of this instance are too low. Reason no_room: the disk of the metrics' store is
        full; invalid: code records what is no number, or below 0.""",
        "system-health",
        ("job", "instance"),
    )


def _series() -> Alert:
    return Alert(
        "TelemetrySeriesDropped",
        "warning",
        _grows("TelemetrySeriesDropped", "telemetry_series_dropped_total", "job, instance, metric"),
        "{{ $labels.metric }} of {{ $labels.instance }} has too many series",
        """A label of this metric takes ever new values: an id, a path, a text of a user. What is
        past the bound is counted in one series with the label value "overflow"; totals stay right.
        A release that added the label is the usual cause.""",
        "system-health",
        ("job", "instance"),
    )


def _store() -> Alert:
    return Alert(
        "TelemetryStoreUnreadable",
        "warning",
        _grows("TelemetryStoreUnreadable", "telemetry_store_unreadable_total", "job, instance"),
        "{{ $labels.instance }} cannot read a part of its metrics",
        """A file of the metrics' store is damaged or was cut: a full disk, or somebody wrote into
        the folder. Figures of one worker may be missing from sums until the instance is started
        again.""",
        "system-health",
        ("job", "instance"),
    )
