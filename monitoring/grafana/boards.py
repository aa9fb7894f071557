"""The dashboards: which question each answers, and by which queries."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as models

from monitoring.grafana.panels import PROMETHEUS, graph, number, query


def _board(uid: str, title: str, question: str, panels: list[Any]) -> dashboard.Dashboard:
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(question)
        .tags(["expense-tracker"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .readonly()
        .link(
            dashboard.DashboardLink("Expense tracker")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["expense-tracker"])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
        .with_variable(_variable("job", "up", "expense-tracker-api", multi=False))
        .with_variable(_variable("instance", 'up{job="$job"}', None, multi=True))
    )
    for panel in panels:
        board = board.with_panel(panel)
    return board


def _variable(name: str, series: str, first: str | None, *, multi: bool) -> Any:
    variable = (
        dashboard.QueryVariable(name)
        .label(name)
        .datasource(PROMETHEUS)
        .query(f"label_values({series}, {name})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    )
    if multi:
        return variable.multi(True).include_all(True)
    return variable.current(models.VariableOption(text=first or "", value=first or ""))


def _error_share() -> Any:
    return number(
        "Share of 5xx answers",
        "HighErrorRate is about more than 10 %.",
        "percentunit",
        'sum(rate(http_requests_total{SELECTOR, status=~"5.."}[$__rate_interval])) '
        "/ sum(rate(http_requests_total{SELECTOR}[$__rate_interval]))",
        warning=0.01,
        critical=0.1,
    )


def _quantile(share: float, metric: str, by: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return (
        f"histogram_quantile({share}, "
        f"sum by ({labels}) (rate({metric}_bucket{{SELECTOR}}[$__rate_interval])))"
    )


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{{SELECTOR}}[$__rate_interval]))"


def api_performance() -> dashboard.Dashboard:
    seconds = "http_request_duration_seconds"
    return _board(
        "api-performance",
        "API Performance Overview",
        "Is the API quick, and which endpoint is not?",
        [
            number(
                "95th percentile",
                "One request in twenty takes longer. HighResponseTime is about more than 1 s.",
                "s",
                _quantile(0.95, seconds),
                warning=0.5,
                critical=1,
            ),
            number(
                "Requests a second",
                "Answers of all kinds, health checks and scrapes left out.",
                "reqps",
                "sum(rate(http_requests_total{SELECTOR}[$__rate_interval]))",
            ),
            _error_share(),
            number(
                "In progress",
                "Requests being answered now.",
                "short",
                "sum(http_requests_in_progress{SELECTOR})",
            ),
            graph(
                "Response time",
                "Percentiles over all endpoints. A dot is a request: it leads to its trace.",
                "s",
                [
                    query(_quantile(share, seconds), name, exemplars=share == 0.95)
                    for share, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
                ],
                critical=1,
            ),
            graph(
                "Requests by status",
                "Answers a second; 499 is a client that went away.",
                "reqps",
                [query(_rate("http_requests_total", "status"), "{{status}}")],
            ),
            graph(
                "95th percentile by endpoint",
                "Where the time goes.",
                "s",
                [
                    query(
                        _quantile(0.95, seconds, "method, endpoint"),
                        "{{method}} {{endpoint}}",
                        exemplars=True,
                    )
                ],
                critical=1,
            ),
            graph(
                "Requests by endpoint",
                "Answers a second.",
                "reqps",
                [
                    query(
                        _rate("http_requests_total", "method, endpoint"), "{{method}} {{endpoint}}"
                    )
                ],
            ),
            graph(
                "Outgoing calls",
                "Time of calls to other services, 95th percentile by host.",
                "s",
                [
                    query(
                        _quantile(0.95, "http_client_request_duration_seconds", "host"), "{{host}}"
                    )
                ],
            ),
        ],
    )


def database() -> dashboard.Dashboard:
    seconds = "database_query_duration_seconds"
    connections = "database_connections_total{SELECTOR}[$__rate_interval]"
    errors = "database_connection_errors_total{SELECTOR}[$__rate_interval]"
    return _board(
        "database-performance",
        "Database Performance",
        "Is the database quick, and can everybody get a connection?",
        [
            number(
                "95th percentile of statements",
                "One statement in twenty takes longer.",
                "s",
                _quantile(0.95, seconds),
                warning=0.05,
                critical=0.5,
            ),
            number(
                "Statements a second",
                "SQL statements of all kinds.",
                "ops",
                "sum(rate(database_queries_total{SELECTOR}[$__rate_interval]))",
            ),
            number(
                "Share of failed connections",
                "DatabaseConnectionErrors is about more than 5 %.",
                "percentunit",
                f"sum(rate({errors})) / sum(rate({connections}))",
                warning=0.01,
                critical=0.05,
            ),
            number(
                "Waiting for a connection",
                "Threads that wait because the pool has none to give.",
                "short",
                "sum(database_pool_requests_waiting{SELECTOR})",
                warning=1,
                critical=5,
            ),
            graph(
                "Statement time by table",
                "95th percentile. A dot is a statement: it leads to its trace.",
                "s",
                [
                    query(
                        _quantile(0.95, seconds, "operation, table"),
                        "{{operation}} {{table}}",
                        exemplars=True,
                    )
                ],
                critical=0.5,
            ),
            graph(
                "Statements by table",
                "Statements a second.",
                "ops",
                [
                    query(
                        _rate("database_queries_total", "operation, table"),
                        "{{operation}} {{table}}",
                    )
                ],
            ),
            graph(
                "Pool",
                "Connections in use and idle over all workers, and how many there may be.",
                "short",
                [
                    query("sum by (state) (database_pool_connections{SELECTOR})", "{{state}}"),
                    query("sum(database_pool_max_connections{SELECTOR})", "maximum"),
                    query("sum(database_pool_requests_waiting{SELECTOR})", "waiting"),
                ],
            ),
            graph(
                "Errors",
                "Failed statements and connections a second, by the driver's exception.",
                "ops",
                [
                    query(_rate("database_errors_total", "type"), "statement {{type}}"),
                    query(_rate("database_connection_errors_total", "type"), "connection {{type}}"),
                ],
            ),
            graph(
                "Repeated queries (N+1)",
                "Statement shapes that ran too often within one request, by endpoint.",
                "ops",
                [query(_rate("http_repeated_queries_total", "endpoint"), "{{endpoint}}")],
            ),
        ],
    )


def errors() -> dashboard.Dashboard:
    return _board(
        "error-tracking",
        "Error Tracking",
        "What fails, where, and since when?",
        [
            _error_share(),
            number(
                "Errors in the last hour",
                "5xx answers and exceptions nobody caught.",
                "short",
                "sum(increase(errors_total{SELECTOR}[1h]))",
                warning=1,
            ),
            number(
                "Database errors in the last hour",
                "Statements that failed.",
                "short",
                "sum(increase(database_errors_total{SELECTOR}[1h]))",
                warning=1,
            ),
            number(
                "Clients that went away",
                "Requests whose client did not wait, in the last hour.",
                "short",
                'sum(increase(http_requests_total{SELECTOR, status="499"}[1h]))',
            ),
            graph(
                "Errors by exception",
                "The exception's class, or http_5xx where an answer was a 5xx without one.",
                "ops",
                [query(_rate("errors_total", "type"), "{{type}}")],
            ),
            graph(
                "Errors by endpoint",
                "none is work outside requests.",
                "ops",
                [query(_rate("errors_total", "endpoint"), "{{endpoint}}")],
            ),
            graph(
                "Share of failed requests by endpoint",
                "5xx answers over all answers.",
                "percentunit",
                [
                    query(
                        'sum by (endpoint) (rate(http_requests_total{SELECTOR, status=~"5.."}'
                        "[$__rate_interval])) / sum by (endpoint) "
                        "(rate(http_requests_total{SELECTOR}[$__rate_interval]))",
                        "{{endpoint}}",
                    )
                ],
                critical=0.1,
            ),
            graph(
                "Client errors",
                "4xx answers a second: mistakes of callers, or of a release that broke them.",
                "reqps",
                [
                    query(
                        "sum by (endpoint, status) "
                        '(rate(http_requests_total{SELECTOR, status=~"4.."}[$__rate_interval]))',
                        "{{status}} {{endpoint}}",
                    )
                ],
            ),
        ],
    )


def system() -> dashboard.Dashboard:
    return _board(
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
                [query(_rate("process_cpu_seconds_total", "instance"), "{{instance}}")],
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
                    query(_rate("telemetry_spans_dropped_total", "reason"), "spans {{reason}}"),
                    query(_rate("telemetry_series_dropped_total", "metric"), "series {{metric}}"),
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


BOARDS = (api_performance, database, errors, system)
