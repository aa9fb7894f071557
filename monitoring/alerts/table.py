"""Every threshold and objective, in one place: alerts and dashboards read them here.

After a change: ``make rules dashboards``. ``make lint`` fails while the committed files differ.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Prometheus' job of the service, and the ``service`` and ``team`` of its alerts.
JOB = "expense-tracker-api"
TEAM = "backend"
#: Who looks after the monitoring stack itself.
STACK, STACK_TEAM = "monitoring", "platform"

#: Endpoints that take long by nature: what streams or imports.
SLOW_BY_NATURE = ".*(export|import).*"


@dataclass(frozen=True)
class Threshold:
    """When an alert speaks: a value above ``above`` over ``window``, for ``hold``."""

    above: float
    #: How long it must last before the alert fires (Prometheus' ``for``).
    hold: str
    #: The range that is looked at; empty for a value of the moment.
    window: str = ""
    #: Events (failures, slow requests) within the window below which nothing is said, so that one
    #: failed request of a quiet night is no incident. Half a number: ``increase`` extrapolates.
    least: float = 0


THRESHOLDS: dict[str, Threshold] = {
    # The brief's five.
    "HighErrorRate": Threshold(0.10, "2m", "2m", least=2.5),
    "DatabaseConnectionErrors": Threshold(0.05, "2m", "2m", least=2.5),
    "APIEndpointDown": Threshold(0, "1m"),
    "HighResponseTime": Threshold(1.0, "5m", "5m", least=2.5),
    "HighMemoryUsage": Threshold(500e6, "5m"),
    # The service.
    "AllInstancesDown": Threshold(0, "1m"),
    "InstanceFailing": Threshold(0.25, "2m", "2m", least=2.5),
    "EndpointFailing": Threshold(0.10, "2m", "5m", least=4.5),
    "RequestsRefused": Threshold(0.5, "5m", "5m", least=9.5),
    # Changes between up and down; a deploy makes two, and one start.
    "InstanceFlapping": Threshold(5, "0m", "15m"),
    "EndpointSlow": Threshold(2.5, "5m", "5m", least=4.5),
    # Total of the instance over what its container, or the machine, gives it.
    "MemoryNearLimit": Threshold(0.9, "5m"),
    # Workers that ended unasked.
    "WorkerRestartLoop": Threshold(2.5, "0m", "20m"),
    "ConnectionPoolExhausted": Threshold(0, "2m", "2m"),
    "SlowDatabase": Threshold(0.5, "5m", "5m", least=4.5),
    "RepeatedQueries": Threshold(10, "5m", "10m"),
    "UpstreamFailing": Threshold(0.10, "2m", "5m", least=4.5),
    "UpstreamSlow": Threshold(2.5, "5m", "5m", least=4.5),
    # Now and then one is lost, as when Jaeger is restarted.
    "TelemetrySpansDropped": Threshold(10, "2m", "5m"),
    "TelemetryLogLinesDropped": Threshold(10, "2m", "5m"),
    "TelemetryObservationsDropped": Threshold(10, "2m", "5m"),
    "TelemetrySeriesDropped": Threshold(0, "1m", "10m"),
    "TelemetryStoreUnreadable": Threshold(0, "0m", "10m"),
    # Their values are the objectives' and the burn rates' below.
    "ErrorBudgetFastBurn": Threshold(0, "2m"),
    "ErrorBudgetSlowBurn": Threshold(0, "15m"),
    # What a probe asks twice a minute. Longer than the alerts that say why.
    "ServiceProbeFailing": Threshold(0, "3m"),
    # The monitoring stack.
    "ProbeDown": Threshold(0, "5m"),
    "PrometheusDown": Threshold(0, "2m"),
    "AlertmanagerDown": Threshold(0, "2m"),
    "JaegerDown": Threshold(0, "2m"),
    "SpanMetricsDown": Threshold(0, "5m"),
    # Bytes that are free on the disk of the spans, and the time until none is.
    "JaegerDiskFilling": Threshold(2e9, "10m", "6h"),
    "JaegerLosingSpans": Threshold(10, "2m", "5m"),
    "RuleEvaluationFailing": Threshold(0, "1m", "5m"),
    # One that failed is sent again with the next of its group, within five minutes.
    "NotificationsFailing": Threshold(1.5, "2m", "15m"),
    "PrometheusLosingData": Threshold(0, "0m", "15m"),
    "ConfigurationNotLoaded": Threshold(0, "5m"),
    "Watchdog": Threshold(0, "0m"),
}


#: Starts of an instance within InstanceFlapping's window that deploys explain.
RESTARTS_OF_DEPLOYS = 3


@dataclass(frozen=True)
class Objective:
    """What a group of endpoints promises over ``PERIOD``."""

    #: Name of the group: the label ``slo``.
    name: str
    #: Its endpoints, a regular expression over the label ``endpoint``.
    endpoints: str
    #: Share of requests that must not end in 5xx.
    availability: float
    #: Share of requests that must be answered within ``seconds``.
    latency: float
    #: A bound of ``http_request_duration_seconds``' buckets.
    seconds: float
    #: Endpoints left out of the latency promise.
    not_timed: str = SLOW_BY_NATURE


#: The time over which error budgets are counted.
PERIOD = "30d"

OBJECTIVES = (
    Objective("expenses", "/api/v1/(expenses|categories)/.*", 0.999, 0.99, 0.5),
    Objective("login", "/api/v1/auth/.*", 0.999, 0.99, 2.5),
    Objective("admin", "/admin/.*", 0.995, 0.95, 2.5),
)


@dataclass(frozen=True)
class Burn:
    """A pair of windows and how many times too fast the budget burns in both of them.

    Source: Google's Site Reliability Workbook, chapter 5, multiwindow multi-burn-rate alerts.
    """

    long: str
    short: str
    factor: float


#: Bad requests in the long window below which a burning budget says nothing.
LEAST_BAD = 4.5
FAST_BURN = (Burn("1h", "5m", 14.4), Burn("6h", "30m", 6))
SLOW_BURN = (Burn("1d", "2h", 3), Burn("3d", "6h", 1))
