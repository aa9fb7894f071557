"""Are all instances up, and do they have what they need?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import RESTARTS_OF_DEPLOYS, THRESHOLDS
from monitoring.alerts.words import bound
from monitoring.grafana.boards.common import board, losses, rate
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    memory = THRESHOLDS["HighMemoryUsage"].above
    near = THRESHOLDS["MemoryNearLimit"].above
    restarts = THRESHOLDS["WorkerRestartLoop"]
    flapping = THRESHOLDS["InstanceFlapping"]
    return board(
        "system-health",
        "System Health",
        "Are all instances up, and do they have what they need?",
        [
            number(
                "Instances down",
                "Those that do not answer their scrape; APIEndpointDown is about any.",
                "short",
                "count(up{SELECTOR} == 0) or vector(0)",
                critical=1,
            ),
            number(
                "Largest worker",
                f"HighMemoryUsage is about more than {memory / 1e6:.0f} MB.",
                "decbytes",
                "max(process_worker_max_resident_memory_bytes{SELECTOR})",
                warning=0.8 * memory,
                critical=memory,
            ),
            number(
                "Workers",
                "Processes that answer requests, of all chosen instances.",
                "short",
                "sum(process_workers{SELECTOR})",
                floor=1,
            ),
            number(
                "Last start",
                "Start of the instance that was started last.",
                "dateTimeFromNow",
                "max(process_start_time_seconds{SELECTOR}) * 1000",
            ),
            graph(
                "Up",
                "1 is an instance that answers its scrape.",
                "short",
                [query("up{SELECTOR}", "{{instance}}")],
                floor=1,
            ),
            graph(
                "Comings and goings",
                f"Changes between up and down, and starts, in {bound(flapping.window)}. "
                f"InstanceFlapping is about more than {flapping.above:g} and "
                f"{RESTARTS_OF_DEPLOYS}.",
                "short",
                [
                    query(f"changes(up{{SELECTOR}}[{flapping.window}])", "{{instance}} up or down"),
                    query(
                        f"changes(process_start_time_seconds{{SELECTOR}}[{flapping.window}])",
                        "{{instance}} starts",
                    ),
                ],
                warning=RESTARTS_OF_DEPLOYS,
                critical=flapping.above,
            ),
            graph(
                "Probes",
                "1 is a check of the probe that succeeds: readiness, and a login from outside. "
                "ServiceProbeFailing is about 0.",
                "short",
                [
                    query(
                        "min by (instance, check) (probe_success{SELECTOR})",
                        "{{instance}} {{check}}",
                    )
                ],
                floor=1,
            ),
            graph(
                "Memory",
                "All processes of an instance, shared pages counted once, and its largest worker.",
                "decbytes",
                [
                    query("process_resident_memory_bytes{SELECTOR}", "{{instance}} all"),
                    query(
                        "process_worker_max_resident_memory_bytes{SELECTOR}",
                        "{{instance}} largest worker",
                    ),
                ],
                critical=memory,
            ),
            graph(
                "CPU",
                "Cores used by all processes of an instance.",
                "short",
                [query(rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
            ),
            graph(
                "Worker starts and crashes",
                f"In {bound(restarts.window)}. WorkerRestartLoop is about more than "
                f"{restarts.above:g} that ended unasked; recycled ones are starts alone.",
                "short",
                [
                    query(
                        "sum by (instance) "
                        f"(increase(process_worker_starts_total{{SELECTOR}}[{restarts.window}]))",
                        "{{instance}} starts",
                    ),
                    query(
                        "sum by (instance) "
                        f"(increase(process_worker_crashes_total{{SELECTOR}}[{restarts.window}]))",
                        "{{instance}} crashes",
                    ),
                ],
                critical=restarts.above,
            ),
            graph(
                "Share of the memory limit",
                "All processes of an instance over the limit of its container, or over the "
                f"machine's memory. MemoryNearLimit is about more than {near:.0%}.",
                "percentunit",
                [
                    query(
                        "process_resident_memory_bytes{SELECTOR} "
                        "/ process_memory_limit_bytes{SELECTOR}",
                        "{{instance}}",
                    )
                ],
                critical=near,
            ),
            graph(
                "File descriptors",
                "The share in use of those that an instance may open.",
                "percentunit",
                [
                    query(
                        "process_open_fds{SELECTOR} / process_max_fds{SELECTOR}",
                        "{{instance}}",
                    )
                ],
                warning=0.8,
            ),
            graph(
                "What runs",
                "Instances of each version and commit; a crossing of lines is a deploy.",
                "short",
                [
                    query(
                        "sum by (version, commit) (build_info{SELECTOR})", "{{version}} {{commit}}"
                    )
                ],
            ),
            losses(),
            graph(
                "Scrape duration",
                "Time that Prometheus takes to read an instance; after 10 s it gives up.",
                "s",
                [query("scrape_duration_seconds{SELECTOR}", "{{instance}}")],
                warning=1,
                critical=10,
            ),
        ],
    )
