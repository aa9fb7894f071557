"""Cases of the alerts about telemetry that does not arrive."""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, series
from monitoring.alerts.table import JOB

_LABELS = {"job": JOB, "instance": "a"}
_DASHBOARD = f"system-health?from=now-1h&to=now&var-job={JOB}&var-instance=a"
_LINKS = {"dashboard_url": _DASHBOARD, "traces_url": ""}


def cases() -> list[Case]:
    return [
        *_spans(),
        *_lost(
            "TelemetryLogLinesDropped",
            "telemetry_log_lines_dropped_total",
            "queue_full",
            "a loses log lines: queue_full",
            "100 lines in 5 minutes were not written. Requests are not affected, and what happened "
            "to them is missing from the log. Reason queue_full: what reads standard error is too "
            "slow or stands still; closed: it is gone; write_failed: the disk; format_failed: a "
            "record that nobody can format.",
        ),
        *_lost(
            "TelemetryObservationsDropped",
            "telemetry_observations_dropped_total",
            "no_room",
            "a cannot record what it measures: no_room",
            "100 observations in 5 minutes are in no metric: counters and histograms of this "
            "instance are too low. Reason no_room: the disk of the metrics' store is full; "
            "invalid: code records what is no number, or below 0.",
        ),
        *_series(),
        *_store(),
    ]


def _lost(name: str, metric: str, reason: str, summary: str, description: str) -> list[Case]:
    lost = series(metric, reason=reason)
    return [
        Case(
            name,
            "forty a minute are lost from 5m on for five minutes",
            {lost: counter((0, 20), (10, 20), (0, 40))},
            starts="7m30s",
            ends="14m45s",
            labels=_LABELS | {"reason": reason},
            says=_LINKS | {"summary": summary, "description": description},
        ),
        Case(name, "two are lost", {lost: counter((0, 20), (2, 1), (0, 59))}, silent="15m"),
        Case(name, "many were lost long ago", {lost: "900x60"}, silent="15m"),
    ]


def _spans() -> list[Case]:
    name = "TelemetrySpansDropped"
    metric = series("telemetry_spans_dropped_total", reason="export_failed")
    return [
        Case(
            name,
            "forty spans a minute are lost from 5m on for five minutes",
            {metric: counter((0, 20), (10, 20), (0, 40))},
            starts="7m30s",
            # The window is left-open: the sample at 10m is the first of it at 15m - 15s.
            ends="14m45s",
            labels=_LABELS | {"reason": "export_failed"},
            says=_LINKS
            | {
                "summary": "a loses spans: export_failed",
                "description": "100 spans in 5 minutes did not reach Jaeger. Traces have holes or "
                "are missing; requests are not affected. Reason export_failed: the receiver is "
                "away or refuses; queue_full: it is too slow; span_limit: one request made too "
                "many spans.",
            },
        ),
        Case(
            name,
            "one span is dropped, and another a minute later",
            {metric: counter((0, 20), (1, 1), (0, 3), (1, 1), (0, 56))},
            silent="15m",
        ),
        Case(
            name,
            "lost before, and then a restart: counters begin again",
            {metric: "900x20 0x40"},
            silent="15m",
        ),
    ]


def _series() -> list[Case]:
    name = "TelemetrySeriesDropped"
    metric = series("telemetry_series_dropped_total", metric="errors_total")
    return [
        Case(
            name,
            "a metric is past its bound from 5m on for five minutes",
            {metric: counter((0, 20), (3, 20), (0, 60))},
            starts="6m15s",
            ends="19m45s",
            labels=_LABELS | {"metric": "errors_total"},
            says=_LINKS | {"summary": "errors_total of a has too many series"},
        ),
        Case(name, "it was long ago", {metric: "30x60"}, silent="15m"),
    ]


def _store() -> list[Case]:
    name = "TelemetryStoreUnreadable"
    metric = series("telemetry_store_unreadable_total")
    return [
        Case(
            name,
            "a file is unreadable at 5m15s",
            {metric: counter((0, 20), (1, 1), (0, 60))},
            starts="5m15s",
            ends="15m",
            labels=_LABELS,
            says=_LINKS | {"summary": "a cannot read a part of its metrics"},
        ),
        Case(name, "it was long ago", {metric: "1x60"}, silent="15m"),
    ]
