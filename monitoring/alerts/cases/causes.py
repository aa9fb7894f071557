"""Cases of alerts that another alert explains: held back, ended, and left alone elsewhere."""

from __future__ import annotations

from monitoring.alerts.cases.case import Case, counter, gauge, series

_LONG = [(0.0, 20), (10.0, 60), (0.0, 40)]


def cases() -> list[Case]:
    return [*_connections(), *_spans(), *_jaeger(), *_notifications()]


def _firing(alert: str, *phases: tuple[float, int], **labels: str) -> dict[str, str]:
    """An alert of another rule, as Prometheus writes it down: a sample for each evaluation."""
    name = series("ALERTS", **labels, alertname=alert, alertstate="firing")
    # 1x3 is four samples, and _x3 three that are missing.
    return {name: " ".join(f"1x{times - 1}" if on else f"_x{times}" for on, times in phases)}


def _up(job: str, **instances: list[tuple[float, int]]) -> dict[str, str]:
    return {
        series("up", job=job, instance=instance): gauge(*phases)
        for instance, phases in instances.items()
    }


def _connections() -> list[Case]:
    """AllInstancesDown is raised by its own rule, of the same file of tests."""
    name = "DatabaseConnectionErrors"
    failing = {
        series("database_connection_failures_total", database="default"): counter(*_LONG),
        series("database_connections_total", database="default"): counter(*_LONG),
    }
    down = [(1.0, 36), (0.0, 24), (1.0, 60)]
    return [
        Case(
            name,
            "raised at 7m15s, and it ends when all instances are down for a minute",
            failing | _up("expense-tracker-api", a=down),
            starts="7m15s",
            ends="10m",
        ),
        Case(
            name,
            "while another instance answers it goes on",
            failing | _up("expense-tracker-api", a=down, b=[(1.0, 120)]),
            starts="7m15s",
            ends="24m45s",
        ),
    ]


def _spans() -> list[Case]:
    name = "TelemetrySpansDropped"
    lost = {series("telemetry_spans_dropped_total", reason="export_failed"): counter(*_LONG)}
    one = _up("jaeger", **{"h:1": [(1.0, 20), (0.0, 70), (1.0, 30)]})
    return [
        Case(
            name,
            "the only Jaeger is away: it is held back until its window has left that time",
            lost | one,
            silent="30m",
        ),
        Case(
            name,
            "one Jaeger of two is away: nobody knows who sends where",
            lost | one | _up("jaeger", **{"h:2": [(1.0, 120)]}),
            starts="7m30s",
        ),
    ]


def _jaeger() -> list[Case]:
    name = "JaegerLosingSpans"
    labels = {"job": "jaeger", "exporter": "jaeger_storage_exporter"}
    metric = "otelcol_exporter_send_failed_spans_total"
    lost = {series(metric, **labels, instance="h:1"): counter(*_LONG)}
    cause = {"job": "jaeger", "instance": "h:1", "service": "monitoring"}

    def away(*phases: tuple[float, int], **more: str) -> dict[str, str]:
        return _firing("JaegerDown", *phases, **(cause | more))

    return [
        Case(name, "the same Jaeger is down", lost | away((1, 120)), silent="30m"),
        Case(
            name,
            "it goes down after that was raised",
            lost | away((0, 40), (1, 80)),
            starts="7m30s",
            ends="10m",
        ),
        *(
            Case(name, f"a Jaeger of another {label} is down", lost | found, starts="7m30s")
            for label, found in (
                ("instance", away((1, 120), instance="h:2")),
                ("cluster", away((1, 120), cluster="other")),
                ("service", away((1, 120), service="other")),
            )
        ),
        Case(
            name,
            "an alert without the label service explains nothing",
            lost | _firing("JaegerDown", (1, 120), job="jaeger", instance="h:1"),
            starts="7m30s",
        ),
    ]


def _notifications() -> list[Case]:
    name = "NotificationsFailing"
    failing = [(0.0, 20), (5.0, 60)]

    def errors(scheme: str) -> dict[str, str]:
        address = f"{scheme}://h:2/api/v2/alerts"
        metric = "prometheus_notifications_errors_total"
        return {series(metric, job="prometheus", alertmanager=address): counter(*failing)}

    def down(instance: str, **more: str) -> dict[str, str]:
        labels = {"job": "alertmanager", "instance": instance, "service": "monitoring"} | more
        return _firing("AlertmanagerDown", (1, 80), **labels)

    receiver = series(
        "alertmanager_notifications_failed_total",
        job="alertmanager",
        instance="h:3",
        integration="webhook",
    )
    return [
        *(
            Case(
                name,
                f"it is down to which Prometheus sends ({scheme})",
                errors(scheme) | down("h:2"),
                silent="15m",
            )
            for scheme in ("http", "https")
        ),
        Case(name, "another one is down", errors("http") | down("h:3"), starts="7m15s"),
        Case(
            name,
            "one of the same address is down in another cluster",
            errors("http") | down("h:2", cluster="other"),
            starts="7m15s",
        ),
        Case(
            name,
            "one is down, and the other cannot send on",
            {receiver: counter(*failing)} | down("h:2"),
            starts="7m15s",
        ),
    ]
