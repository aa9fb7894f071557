"""Which alert explains which: while the cause fires, its effect is not raised.

Alertmanager's inhibition would hold back the notification of an effect, and the notification of its
end as well: an incident that was opened before the cause began would stay open for ever
(github.com/prometheus/alertmanager/issues/226 and 2754, seen in 0.31.1). An effect that is left out
of the rule itself ends in Prometheus; Alertmanager sends ``resolved`` to whoever was notified, and
nothing to anybody else.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.alerts.table import JOB, STACK, THRESHOLDS


@dataclass(frozen=True)
class Cause:
    """What explains an alert."""

    #: PromQL: a series for each system in which the cause fires.
    expression: str
    #: Labels whose values are the same for cause and effect when both are about one system. The
    #: label ``cluster`` is always one of them.
    same: tuple[str, ...] = ()


def firing(alert: str, service: str = JOB, more: str = "", *, after: str = "") -> str:
    """The alert as a series that exists while it fires, and for the duration ``after`` then.

    ``more`` are further matchers, each behind a comma.
    """
    selector = f'ALERTS{{alertname="{alert}", alertstate="firing", service="{service}"{more}}}'
    return f"last_over_time({selector}[{after}])" if after else selector


def unless_explained(alert: str, expression: str) -> str:
    """The expression without the systems where one of the alert's causes fires."""
    causes = CAUSES.get(alert, ())
    if not causes:
        return expression
    exceptions = (
        f"unless on ({', '.join(('cluster', *cause.same))}) {cause.expression}" for cause in causes
    )
    return " ".join([f"({expression})", *exceptions])


_ALL_DOWN = Cause(firing("AllInstancesDown"), ("job",))


def _receiver_down(scheme: str) -> Cause:
    """The Alertmanager to which Prometheus could not send, by the address that Prometheus uses."""
    after = THRESHOLDS["NotificationsFailing"].window
    # Without an instance (no target is known) it is about none, and would explain every receiver.
    down = firing("AlertmanagerDown", STACK, ', instance!=""', after=after)
    address = f"{scheme}://$1/api/v2/alerts"
    return Cause(
        f'label_replace({down}, "alertmanager", "{address}", "instance", "(.+)")',
        ("alertmanager",),
    )


def _every_jaeger_down() -> Cause:
    """One Jaeger of several explains no lost span of a service: nobody knows where it sends."""
    after = THRESHOLDS["TelemetrySpansDropped"].window
    down = f"count by (cluster) ({firing('JaegerDown', STACK, after=after)})"
    return Cause(f'({down} >= on (cluster) count by (cluster) (up{{job="jaeger"}}))')


#: By the name of the effect. A cause that is about one instance never explains an alert about the
#: whole service, nor a high rate of errors the endpoint that fails. What may itself be the reason
#: (memory, restarts, an upstream, an empty pool beside failed connections) is not listed.
CAUSES: dict[str, tuple[Cause, ...]] = {
    "HighErrorRate": (_ALL_DOWN,),
    "HighResponseTime": (_ALL_DOWN,),
    "InstanceFailing": (_ALL_DOWN,),
    "EndpointFailing": (_ALL_DOWN,),
    "RequestsRefused": (_ALL_DOWN,),
    "EndpointSlow": (_ALL_DOWN,),
    "DatabaseConnectionErrors": (_ALL_DOWN,),
    "ConnectionPoolExhausted": (_ALL_DOWN,),
    "SlowDatabase": (_ALL_DOWN,),
    "ErrorBudgetFastBurn": (_ALL_DOWN,),
    "ErrorBudgetSlowBurn": (
        _ALL_DOWN,
        Cause(firing("ErrorBudgetFastBurn"), ("job", "slo", "sli")),
    ),
    # The probe speaks where nobody else does.
    "ServiceProbeFailing": (
        _ALL_DOWN,
        Cause(firing("APIEndpointDown"), ("job", "instance")),
        Cause(firing("DatabaseConnectionErrors"), ("job", "instance")),
    ),
    "TelemetrySpansDropped": (_every_jaeger_down(),),
    "JaegerLosingSpans": (
        Cause(
            firing("JaegerDown", STACK, after=THRESHOLDS["JaegerLosingSpans"].window),
            ("instance",),
        ),
    ),
    "SpanMetricsDown": (Cause(firing("JaegerDown", STACK)),),
    "NotificationsFailing": (_receiver_down("http"), _receiver_down("https")),
}
