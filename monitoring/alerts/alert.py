"""An alert as a rule of Prometheus: its labels, its words, and where its links lead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from monitoring.alerts.causes import unless_explained
from monitoring.alerts.table import JOB, STACK, STACK_TEAM, TEAM, THRESHOLDS

#: Where the links lead as shipped; ``monitoring.render`` puts other addresses in their place.
GRAFANA = "http://localhost:3001"
JAEGER = "http://localhost:16686"
RUNBOOKS = "monitoring/runbooks"

#: Stand for a label of the alert within a link, so that the rest of it can be quoted.
_LABELS = ("job", "instance", "endpoint", "method", "host", "database", "slo", "sli", "status")

#: Jaeger's search for traces with an error.
FAILED = {"tags": '{"error":"true"}'}


@dataclass(frozen=True)
class Alert:
    """What an alert says, to whom, and what a click on it opens."""

    name: str
    severity: str
    expression: str
    summary: str
    description: str
    #: uid of the dashboard that answers the first question.
    dashboard: str
    #: Variables of that dashboard that take the alert's labels of the same name.
    variables: tuple[str, ...] = ("job",)
    #: Query of Jaeger's search beside the service; a value ``{label}`` takes the alert's label.
    traces: dict[str, str] | None = None
    #: For alerts with the label sli=latency: no failed requests, but slow ones.
    slow_traces: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    stack: bool = False

    def rule(self) -> dict[str, Any]:
        hold = THRESHOLDS[self.name].hold
        service, team = (STACK, STACK_TEAM) if self.stack else (JOB, TEAM)
        expression = unless_explained(self.name, " ".join(self.expression.split()))
        rule: dict[str, Any] = {"alert": self.name, "expr": expression}
        if hold != "0m":
            rule["for"] = hold
        rule["labels"] = {
            "severity": self.severity,
            "service": service,
            "team": team,
            **(self.labels or {}),
        }
        rule["annotations"] = {
            "summary": self.summary,
            "description": " ".join(self.description.split()),
            "runbook_url": f"{RUNBOOKS}/{self.name}.md",
            "dashboard_url": self._dashboard_url(),
            "traces_url": self._traces_url(),
        }
        return rule

    def _dashboard_url(self) -> str:
        # A label that is missing (absent() knows no instance) leaves the variable as it is.
        chosen = "".join(
            f"{{{{ with $labels.{name} }}}}&var-{name}={{{{ urlquery . }}}}{{{{ end }}}}"
            for name in self.variables
        )
        return f"{GRAFANA}/d/{self.dashboard}?from=now-1h&to=now{chosen}"

    def _traces_url(self) -> str:
        query = _query(self.traces or {})
        if self.slow_traces:
            slow = _query(self.slow_traces)
            query = f'{{{{ if eq $labels.sli "latency" }}}}{slow}{{{{ else }}}}{query}{{{{ end }}}}'
        return f"{JAEGER}/search?lookback=1h&service={JOB}{query}"


def _query(parameters: dict[str, str]) -> str:
    parts = []
    for name, value in parameters.items():
        # Quoted first, so that the labels' own quoting is left as it is.
        text = quote(value)
        for label in _LABELS:
            text = text.replace(quote(f"{{{label}}}"), _label(label))
        parts.append(f"&{name}={text}")
    return "".join(parts)


def _label(name: str) -> str:
    return f"{{{{ urlquery $labels.{name} }}}}"
