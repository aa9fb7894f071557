"""Can the monitoring be believed: does it run, and does it lose anything?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.stack import LOSING_DATA
from monitoring.alerts.table import THRESHOLDS
from monitoring.alerts.words import bound
from monitoring.grafana.boards.common import board, losses, rate
from monitoring.grafana.panels import graph, number, query


def _last_hour(metric: str) -> str:
    return f"(sum(increase({metric}{{SELECTOR}}[1h])) or vector(0))"


def make() -> dashboard.Dashboard:
    return board(
        "monitoring-itself",
        "Monitoring Itself",
        "Can the monitoring be believed: does it run, and does it lose anything?",
        [
            number(
                "Targets down",
                "Instances of the service and parts of the stack that do not answer their scrape.",
                "short",
                "count(up{SELECTOR} == 0) or vector(0)",
                critical=1,
            ),
            number(
                "Rules that failed in the last hour",
                "Evaluations with an error. RuleEvaluationFailing is about any.",
                "short",
                _last_hour("prometheus_rule_evaluation_failures_total"),
                critical=1,
            ),
            number(
                "Notifications that failed in the last hour",
                "From Prometheus to Alertmanager, and from there to people. NotificationsFailing "
                "is about more than one in a quarter of an hour.",
                "short",
                f"{_last_hour('prometheus_notifications_errors_total')} "
                f"+ {_last_hour('alertmanager_notifications_failed_total')}",
                critical=1,
            ),
            number(
                "Spans lost in the last hour",
                "Spans of the service that did not reach Jaeger.",
                "short",
                _last_hour("telemetry_spans_dropped_total"),
                warning=1,
            ),
            graph(
                "Up",
                "1 is a target that answers its scrape.",
                "short",
                [query("up{SELECTOR}", "{{job}} {{instance}}")],
                floor=1,
            ),
            graph(
                "Scrape duration",
                "Time that Prometheus takes to read a target; after 10 s it gives up.",
                "s",
                [query("scrape_duration_seconds{SELECTOR}", "{{job}} {{instance}}")],
                warning=1,
                critical=10,
            ),
            graph(
                "Samples a second",
                "What Prometheus stores.",
                "ops",
                [
                    query(
                        rate("prometheus_tsdb_head_samples_appended_total", "instance"),
                        "{{instance}}",
                    )
                ],
            ),
            graph(
                "Series",
                "Series that Prometheus holds in memory: 100,000 of them take 260 MB.",
                "short",
                [query("prometheus_tsdb_head_series{SELECTOR}", "{{instance}}")],
                warning=200_000,
            ),
            graph(
                "Evaluation of rules",
                "Time that a group of rules takes; RuleEvaluationFailing is about one that takes "
                "longer than its interval of 15 s.",
                "s",
                [
                    query(
                        "label_replace(prometheus_rule_group_last_duration_seconds{SELECTOR}, "
                        '"group", "$1", "rule_group", ".*;(.*)")',
                        "{{group}}",
                    )
                ],
                warning=5,
                critical=15,
            ),
            graph(
                "Losses of Prometheus",
                "What could not be written or was refused, in "
                f"{bound(THRESHOLDS['PrometheusLosingData'].window)}. PrometheusLosingData is "
                "about any.",
                "short",
                [
                    query(
                        f"sum by (instance) (increase({metric}{{SELECTOR}}"
                        f"[{THRESHOLDS['PrometheusLosingData'].window}]))",
                        metric.removeprefix("prometheus_").removesuffix("_total").replace("_", " "),
                    )
                    for metric in LOSING_DATA
                ],
                critical=1,
            ),
            graph(
                "Notifications",
                "What Alertmanager sent and could not send, a second.",
                "ops",
                [
                    query(
                        rate("alertmanager_notifications_total", "integration") + " > 0",
                        "{{integration}}",
                    ),
                    query(
                        "sum(rate(alertmanager_notifications_failed_total{SELECTOR}"
                        "[$__rate_interval]))",
                        "failed",
                    ),
                ],
            ),
            graph(
                "Free for spans",
                "What is free on the disk where Jaeger keeps spans. JaegerDiskFilling is about "
                f"less than {THRESHOLDS['JaegerDiskFilling'].above / 1e9:g} GB, or a day's rest.",
                "decbytes",
                [
                    query(
                        "jaeger_storage_badger_value_log_bytes_available{SELECTOR}", "{{instance}}"
                    )
                ],
                floor=THRESHOLDS["JaegerDiskFilling"].above,
            ),
            graph(
                "Configuration loaded",
                "0 is a part that runs on its old configuration: ConfigurationNotLoaded.",
                "short",
                [
                    query(
                        f"{job}_config_last_reload_successful{{SELECTOR}}", "{{job}} {{instance}}"
                    )
                    for job in ("prometheus", "alertmanager")
                ],
                floor=1,
            ),
            graph(
                "Spans in Jaeger",
                "Received, refused and not stored, a second. JaegerLosingSpans is about more than "
                f"{THRESHOLDS['JaegerLosingSpans'].above:g} of the last two in five minutes.",
                "ops",
                [
                    query(rate("otelcol_receiver_accepted_spans_total", "instance"), "received"),
                    query(rate("otelcol_receiver_refused_spans_total", "instance"), "refused"),
                    query(
                        rate("otelcol_exporter_send_failed_spans_total", "instance"), "not stored"
                    ),
                ],
            ),
            losses(),
        ],
        jobs=None,
    )
