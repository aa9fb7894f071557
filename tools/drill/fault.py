"""What a fault is: how it is made and ended, which alert must come, and which others may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from monitoring.alerts.generate import ALERTS
from monitoring.alerts.table import THRESHOLDS
from monitoring.render import seconds
from tools.drill.field import Field
from tools.drill.series import Series

Act = Callable[[Field], None]
#: Alerts by name, and why each may fire beside the one that is waited for.
Companions = Mapping[str, str]

ALERT_BY_NAME = {alert.name: alert for alerts in ALERTS.values() for alert in alerts}
RULES = {name: alert.rule() for name, alert in ALERT_BY_NAME.items()}


def nothing(_field: Field) -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Fault:
    name: str
    #: What is done to the system, for the report.
    what: str
    alert: str
    #: What the fault makes move. The drill reads it just before the fault, on instances that have
    #: only ever been well, and does not begin when it is not at rest.
    moves: tuple[Series, ...] = ()
    #: Why there is no such series.
    moves_nothing: str = ""
    #: Returns when the fault is there; the alert's time is counted from then.
    begin: Act = nothing
    #: Called again and again while the fault is on, every ``every`` seconds of full-length time.
    keep: Act | None = None
    every: float = 30.0
    end: Act = nothing
    companions: Companions = field(default_factory=lambda: MappingProxyType({}))
    #: Seconds of full-length time that the rule looks back over before its ``for`` begins.
    window: float = 0.0
    #: Seconds, not compressed, until the service itself shows the fault.
    lag: float = 0.0
    #: Why there is a window or a lag.
    because: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: Part of what Prometheus says of its targets (``lastError``) while the alert fires.
    says: str = ""
    #: Metrics that only this fault gives data: panels of dashboards that ask for them must show it.
    panels: tuple[str, ...] = ()
    #: False where Alertmanager cannot be told: the alert is looked for in Prometheus.
    told: bool = True

    @property
    def hold(self) -> float:
        """The alert's ``for``, in seconds as shipped."""
        return seconds(THRESHOLDS[self.alert].hold)

    def allowed(self, speed: float, scrape: float) -> float:
        """Seconds from the fault to its alert, at most.

        Two scrapes, because a rate needs two samples, and an evaluation, which is as often.
        """
        return (self.hold + self.window) / speed + 2 * scrape + scrape + self.lag

    @property
    def most_told(self) -> int:
        """Most notifications that name the alert: one, and one more where others may join it.

        A group of warnings is a service's; one of critical alerts is an alert's, whose instances
        share it.
        """
        own = RULES[self.alert]["labels"]
        if own["severity"] == "critical":
            return 2 if "instance" in ALERT_BY_NAME[self.alert].variables else 1
        joins = any(
            all(RULES[name]["labels"][label] == own[label] for label in ("service", "severity"))
            for name in self.companions.keys() - {self.alert}
        )
        return 2 if joins else 1
