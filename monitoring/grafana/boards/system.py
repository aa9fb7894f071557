"""Are all instances up, and do they have what they need?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, rate
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    return board(
        "system-health",
        "System Health",
        "Are all instances up, and do they have what they need?",
        [
            number(
                "Instances up",
                "APIEndpointDown is about an instance that does not answer its scrape.",
                "short",
                "sum(up{SELECTOR})",
            ),
            number(
                "Largest worker",
                "HighMemoryUsage is about more than 500 MB.",
                "bytes",
                "max(process_worker_max_resident_memory_bytes{SELECTOR})",
                warning=400e6,
                critical=500e6,
            ),
            number(
                "Workers",
                "Processes that answer requests.",
                "short",
                "sum(process_workers{SELECTOR})",
            ),
            number(
                "Up since",
                "Start of the instance that was started last.",
                "dateTimeFromNow",
                "max(process_start_time_seconds{SELECTOR}) * 1000",
            ),
            graph(
                "CPU",
                "Cores used by all processes of an instance.",
                "short",
                [query(rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
            ),
            graph(
                "Memory",
                "All processes of an instance, shared pages counted once, and its largest worker.",
                "bytes",
                [
                    query("process_resident_memory_bytes{SELECTOR}", "{{instance}} all"),
                    query(
                        "process_worker_max_resident_memory_bytes{SELECTOR}",
                        "{{instance}} largest worker",
                    ),
                ],
                critical=500e6,
            ),
            graph(
                "File descriptors",
                "Open ones, and how many there may be.",
                "short",
                [
                    query("process_open_fds{SELECTOR}", "{{instance}} open"),
                    query("process_max_fds{SELECTOR}", "{{instance}} allowed"),
                ],
            ),
            graph(
                "What runs",
                "Version and commit of each instance; a step is a deploy.",
                "short",
                [
                    query(
                        "sum by (version, commit) (build_info{SELECTOR})", "{{version}} {{commit}}"
                    )
                ],
            ),
            graph(
                "Telemetry's own losses",
                "Spans and series that were dropped, a second.",
                "ops",
                [
                    query(rate("telemetry_spans_dropped_total", "reason"), "spans {{reason}}"),
                    query(rate("telemetry_series_dropped_total", "metric"), "series {{metric}}"),
                ],
                warning=0.001,
            ),
            graph(
                "Scrape duration",
                "Time that Prometheus takes to read an instance.",
                "s",
                [query("scrape_duration_seconds{SELECTOR}", "{{instance}}")],
                warning=1,
            ),
        ],
    )
