"""Cases of the monitoring stack's alerts about itself."""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, gauge, series
from monitoring.alerts.stack import LOSING_DATA


def cases() -> list[Case]:
    return [
        *_watchdog(),
        *_down("PrometheusDown", "prometheus"),
        *_down("AlertmanagerDown", "alertmanager"),
        *_down("JaegerDown", "jaeger"),
        *_span_metrics(),
        *_jaeger_losing(),
        *_jaeger_disk(),
        *_rules(),
        *_notifications(),
        *_losing_data(),
        *_configuration(),
    ]


def _watchdog() -> list[Case]:
    return [Case("Watchdog", "at the first evaluation, and always", {}, starts="0s")]


def _down(name: str, job: str) -> list[Case]:
    def up(*phases: tuple[float, int]) -> dict[str, str]:
        return {series("up", job=job, instance="h:1"): gauge(*phases)}

    return [
        Case(
            name,
            "away from 5m on for five minutes",
            up((1, 20), (0, 20), (1, 20)),
            starts="7m",
            ends="10m",
            labels={"job": job, "instance": "h:1"},
            says={"summary": f"{job.capitalize()} at h:1 is down"},
        ),
        Case(
            name,
            "no such target",
            {},
            starts="2m",
            labels={"job": job},
            says={"summary": f"{job.capitalize()} is down"},
        ),
        Case(name, "away for two minutes", up((1, 20), (0, 8), (1, 20)), silent="12m"),
    ]


def _span_metrics() -> list[Case]:
    name = "SpanMetricsDown"

    def up(job: str, *phases: tuple[float, int]) -> dict[str, str]:
        return {series("up", job=job, instance="h:1"): gauge(*phases)}

    return [
        Case(
            name,
            "away from 5m on for ten minutes",
            up("span-metrics", (1, 20), (0, 40), (1, 20)) | up("jaeger", (1, 80)),
            starts="10m",
            ends="15m",
            labels={"job": "span-metrics", "instance": "h:1"},
            says={"summary": "The span metrics at h:1 are not scraped"},
        ),
        Case(
            name,
            "Jaeger is away as well: JaegerDown tells it",
            up("span-metrics", (1, 20), (0, 40)) | up("jaeger", (1, 20), (0, 40)),
            silent="15m",
        ),
        Case(
            name,
            "away for four minutes",
            up("span-metrics", (1, 20), (0, 16), (1, 24)) | up("jaeger", (1, 60)),
            silent="15m",
        ),
    ]


def _jaeger_losing() -> list[Case]:
    name = "JaegerLosingSpans"
    jaeger = {"job": "jaeger", "instance": "h:1"}
    storage = {"exporter": "jaeger_storage_exporter"}
    metric = series("otelcol_exporter_send_failed_spans_total", **jaeger, **storage)
    receiver = {"receiver": "otlp", "transport": "http"}
    return [
        Case(
            name,
            "nothing can be stored from 5m on for five minutes",
            {metric: counter((0, 20), (10, 20), (0, 40))},
            starts="7m30s",
            ends="14m45s",
            labels=jaeger | storage,
            says={
                "summary": "Jaeger at h:1 loses spans",
                "description": "100 spans were refused or could not be stored. Traces have holes. "
                "A full disk or slow storage is the usual cause; Jaeger's log says.",
            },
        ),
        Case(
            name,
            "what comes in is refused",
            {
                series("otelcol_receiver_refused_spans_total", **jaeger, **receiver): counter(
                    (0, 20), (10, 20)
                )
            },
            starts="7m30s",
        ),
        Case(
            name,
            "what comes in fails",
            {
                series("otelcol_receiver_failed_spans_total", **jaeger, **receiver): counter(
                    (0, 20), (10, 20)
                )
            },
            starts="7m30s",
        ),
        Case(
            name, "one span is refused", {metric: counter((0, 20), (1, 1), (0, 40))}, silent="15m"
        ),
        Case(name, "spans were lost long ago", {metric: "500x60"}, silent="15m"),
    ]


def _jaeger_disk() -> list[Case]:
    name = "JaegerDiskFilling"
    jaeger = {"job": "jaeger", "instance": "h:1"}
    metric = series("jaeger_storage_badger_value_log_bytes_available", **jaeger)
    # A sample each five minutes; 100 MB in five minutes are 28.8 GB a day.
    falling = " ".join(f"{34e9 - 1e8 * number:.0f}" for number in range(96))
    steady = " ".join(f"{40e9 - 1e7 * number:.0f}" for number in range(96))
    return [
        Case(
            name,
            "less than 2 GB are free from 50m on for half an hour",
            {metric: gauge((5e9, 10), (1.5e9, 6), (5e9, 20))},
            starts="1h",
            ends="1h20m",
            labels=jaeger,
            says={"summary": "The disk of the spans at h:1 has 1.5GB left"},
            interval="5m",
        ),
        Case(
            name,
            "100 MB more in five minutes: within a day nothing is left",
            {metric: falling},
            values={
                f'count(ALERTS{{alertname="{name}", alertstate="firing"}})': ("6h", 1),
            },
            interval="5m",
        ),
        Case(name, "10 MB more in five minutes", {metric: steady}, silent="7h", interval="5m"),
        Case(
            name,
            "less than 2 GB are free for ten minutes, while Badger compacts",
            {metric: gauge((5e9, 10), (1.5e9, 2), (5e9, 20))},
            silent="2h",
            interval="5m",
        ),
    ]


def _rules() -> list[Case]:
    name = "RuleEvaluationFailing"
    prometheus = {"job": "prometheus", "instance": "h:1"}
    group = {"rule_group": "/etc/rules/service.yml;service"}
    metric = series("prometheus_rule_evaluation_failures_total", **prometheus, **group)
    return [
        Case(
            name,
            "a rule fails at each evaluation from 5m on for five minutes",
            {metric: counter((0, 20), (1, 20), (0, 40))},
            starts="6m15s",
            ends="14m45s",
            labels=prometheus | group,
            says={
                "summary": "Prometheus cannot evaluate rules: /etc/rules/service.yml;service",
            },
        ),
        Case(
            name,
            "evaluations are missed",
            {
                series(
                    "prometheus_rule_group_iterations_missed_total", **prometheus, **group
                ): counter((0, 20), (1, 20))
            },
            starts="6m15s",
        ),
        Case(name, "rules failed long ago", {metric: "7x60"}, silent="15m"),
    ]


def _notifications() -> list[Case]:
    name = "NotificationsFailing"
    webhook = {"job": "alertmanager", "instance": "h:2", "integration": "webhook"}
    sent_to = {"job": "prometheus", "instance": "h:1", "alertmanager": "http://h:2"}
    failed = series("alertmanager_notifications_failed_total", **webhook)
    return [
        Case(
            name,
            "the receiver answers with errors from 5m on for five minutes",
            {failed: counter((0, 20), (1, 20), (0, 80))},
            starts="7m30s",
            ends="24m30s",
            labels=webhook,
            says={"summary": "Notifications of alerts do not arrive (webhook)"},
        ),
        Case(
            name,
            "Alertmanager refuses what Prometheus sends",
            {series("prometheus_notifications_errors_total", **sent_to): counter((0, 20), (1, 20))},
            starts="7m30s",
            labels=sent_to,
            says={"summary": "Notifications of alerts do not arrive"},
        ),
        Case(
            name,
            "Prometheus drops what it cannot send",
            {
                series("prometheus_notifications_dropped_total", **sent_to): counter(
                    (0, 20), (1, 20)
                )
            },
            starts="7m30s",
        ),
        Case(
            name,
            "each notification of a group fails, one in five minutes",
            {failed: counter((0, 20), *[(1, 1), (0, 19)] * 4)},
            # The second, and two minutes more.
            starts="12m15s",
        ),
        Case(
            name,
            "one notification fails and is sent again",
            {failed: counter((0, 20), (1, 1), (0, 79))},
            silent="25m",
        ),
        Case(name, "it failed long ago", {failed: "7x60"}, silent="15m"),
    ]


def _losing_data() -> list[Case]:
    name = "PrometheusLosingData"
    prometheus = {"job": "prometheus", "instance": "h:1"}
    return [
        *(
            Case(
                name,
                metric,
                {series(metric, **prometheus): counter((0, 20), (1, 1), (0, 80))},
                starts="5m15s",
                ends="20m",
                labels=prometheus,
                says={"summary": "Prometheus at h:1 loses samples"},
            )
            for metric in LOSING_DATA
        ),
        Case(
            name,
            "Prometheus comes back with a damaged write-ahead log: its counter begins at 1",
            {
                series("prometheus_tsdb_wal_corruptions_total", **prometheus): "_x40 1x80",
                series("process_start_time_seconds", **prometheus): "_x40 600x80",
            },
            starts="10m",
            # Fifteen minutes after its start.
            ends="25m",
        ),
        Case(
            name,
            "Prometheus comes back with a sound one",
            {
                series("prometheus_tsdb_wal_corruptions_total", **prometheus): "_x40 0x80",
                series("process_start_time_seconds", **prometheus): "_x40 600x80",
            },
            silent="29m",
        ),
        Case(
            name,
            "it was long ago",
            {
                series(LOSING_DATA[0], **prometheus): "7x80",
                series("process_start_time_seconds", **prometheus): "-9000x80",
            },
            silent="20m",
        ),
    ]


def _configuration() -> list[Case]:
    name = "ConfigurationNotLoaded"

    def loaded(job: str, *phases: tuple[float, int]) -> dict[str, str]:
        metric = f"{job}_config_last_reload_successful"
        return {series(metric, job=job, instance="h:1"): gauge(*phases)}

    return [
        *(
            Case(
                name,
                f"{job} cannot load what is there from 5m on for ten minutes",
                loaded(job, (1, 20), (0, 40), (1, 20)),
                starts="10m",
                ends="15m",
                labels={"job": job, "instance": "h:1"},
                says={"summary": f"{job} at h:1 runs on its old configuration"},
            )
            for job in ("prometheus", "alertmanager")
        ),
        Case(
            name,
            "mended within four minutes",
            loaded("prometheus", (1, 20), (0, 16), (1, 20)),
            silent="13m",
        ),
    ]
