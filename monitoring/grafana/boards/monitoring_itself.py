"""Can the monitoring be believed: does it run, and does it lose anything?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, rate
from monitoring.grafana.panels import graph, number, query

_STACK = 'job=~"prometheus|alertmanager|jaeger"'


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
                "count(up == 0) or vector(0)",
                warning=1,
                critical=1,
            ),
            number(
                "Rules that failed in the last hour",
                "Evaluations with an error. RuleEvaluationFailing is about any.",
                "short",
                "sum(increase(prometheus_rule_evaluation_failures_total[1h]))",
                critical=1,
            ),
            number(
                "Notifications that failed in the last hour",
                "From Prometheus to Alertmanager, and from there to people.",
                "short",
                "sum(increase(prometheus_notifications_errors_total[1h])) "
                "+ sum(increase(alertmanager_notifications_failed_total[1h]))",
                critical=1,
            ),
            number(
                "Spans lost in the last hour",
                "Spans of the service that did not reach Jaeger.",
                "short",
                "sum(increase(telemetry_spans_dropped_total{SELECTOR}[1h]))",
                warning=1,
            ),
            graph(
                "Up",
                "1 is a part that answers.",
                "short",
                [query(f"up{{{_STACK}}}", "{{job}} {{instance}}")],
            ),
            graph(
                "Scrape duration",
                "Time that Prometheus takes to read a target.",
                "s",
                [query("scrape_duration_seconds", "{{job}} {{instance}}")],
                warning=1,
            ),
            graph(
                "Samples a second",
                "What Prometheus stores.",
                "ops",
                [query("sum(rate(prometheus_tsdb_head_samples_appended_total[5m]))", "samples")],
            ),
            graph(
                "Series",
                "Series that Prometheus holds in memory.",
                "short",
                [query("sum(prometheus_tsdb_head_series)", "series")],
            ),
            graph(
                "Evaluation of rules",
                "Time that a group of rules takes, against its interval of 15 s.",
                "s",
                [
                    query(
                        'label_replace(prometheus_rule_group_last_duration_seconds, "group", "$1", '
                        '"rule_group", ".*;(.*)")',
                        "{{group}}",
                    )
                ],
                warning=5,
                critical=15,
            ),
            graph(
                "Notifications",
                "Sent by Alertmanager, a second.",
                "ops",
                [
                    query(
                        "sum by (integration) (rate(alertmanager_notifications_total[5m])) > 0",
                        "{{integration}}",
                    )
                ],
            ),
            graph(
                "Spans in Jaeger",
                "Received and refused, a second.",
                "ops",
                [
                    query("sum(rate(otelcol_receiver_accepted_spans_total[5m]))", "received"),
                    query("sum(rate(otelcol_receiver_refused_spans_total[5m]))", "refused"),
                ],
            ),
            graph(
                "Losses of the service's telemetry",
                "Spans and series that were dropped, a second.",
                "ops",
                [
                    query(rate("telemetry_spans_dropped_total", "reason"), "spans {{reason}}"),
                    query(
                        rate("telemetry_series_dropped_total", "metric") + " > 0",
                        "series {{metric}}",
                    ),
                ],
                warning=0.001,
            ),
        ],
    )
