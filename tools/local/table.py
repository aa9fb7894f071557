"""What ``make up`` and ``make status`` show: what runs where, how to log in, what to try first."""

from __future__ import annotations

from typing import NamedTuple

from tools.local.layout import Layout
from tools.local.parts import answers, what_answers


class Row(NamedTuple):
    """A part of the system, as a person and as a program reach it."""

    name: str
    #: For people; what a browser gets there is asked, not assumed.
    address: str
    note: str
    #: Answers 200 when the part is ready.
    ready: str
    #: What to look at where ``address`` is no page: built from source, some programs have none.
    without_page: str = ""


#: Rows of the monitoring stack.
STACK = frozenset({"Prometheus", "Alertmanager", "Notifications", "Probe", "Jaeger"})


def rows(layout: Layout) -> list[Row]:
    api, metrics = layout.url("API_PORT"), layout.url("PROMETHEUS_PORT", "/metrics")
    prometheus, jaeger = layout.url("PROMETHEUS_SERVER_PORT"), layout.url("JAEGER_QUERY_PORT")
    alertmanager = layout.url("ALERTMANAGER_PORT")
    rates = layout.url("RATES_PORT")
    return [
        Row("API", f"{api}/api/v1/expenses/", "token login, see below", f"{api}/health/ready"),
        Row("API docs", f"{api}/api/docs/", "", f"{api}/health/live"),
        Row("Admin", f"{api}/admin/", "", f"{api}/health/live"),
        Row(
            "Rates",
            f"{rates}/rates/USD/",
            f"the demo's second service, called by {api}/api/v1/demo/rates/USD/",
            f"{rates}/health/live",
        ),
        Row("Metrics", f"{api}/metrics", f"the same on {metrics}", f"{api}/metrics"),
        Row(
            "Prometheus",
            prometheus,
            "",
            f"{prometheus}/-/ready",
            "make alerts, make dashboards-preview, "
            f"{prometheus}/api/v1/query?query=up, {prometheus}/api/v1/targets",
        ),
        Row("Alertmanager", alertmanager, "", f"{alertmanager}/-/ready"),
        Row(
            "Notifications",
            layout.url("NOTIFICATIONS_PORT"),
            f"printed to {layout.logs / 'notifications.log'}",
            layout.url("NOTIFICATIONS_PORT"),
        ),
        Row(
            "Probe",
            layout.url("PROBE_PORT", "/metrics"),
            "asks for readiness and logs in, each time it is asked",
            layout.url("PROBE_PORT"),
        ),
        Row(
            "Jaeger",
            jaeger,
            "",
            f"{jaeger}/api/services",
            f"{jaeger}/api/traces?service=expense-tracker-api&limit=1, "
            f"{jaeger}/api/traces/TRACE_ID",
        ),
    ]


def without_page(row: Row) -> str:
    """What to look at instead, where a program has no web page; empty where it has one."""
    if not row.without_page or (found := what_answers(row.address)) == "page":
        return ""
    return f"API only, its page is not in this build ({found}); to look at: {row.without_page}"


def text(layout: Layout, missing: dict[str, str], *, stack: bool = True) -> str:
    """The table. ``missing`` says why a part of the stack is not there."""
    lines = []
    for row in rows(layout):
        if row.name in STACK:
            if not stack:
                continue
            if row.name.lower() in missing:
                lines.append(f"  {row.name:13} {missing[row.name.lower()]}")
                continue
        if answers(row.ready, 1.0):
            note = " ".join(filter(None, (row.note, without_page(row))))
        else:
            note = f"{row.note}  (starting)"
        lines.append(f"  {row.name:13} {row.address:36} {note}".rstrip())
    if not stack:
        lines.append("  the monitoring stack is left out (STACK=0)")
    return "\n".join(lines)


def welcome(layout: Layout, secrets: dict[str, str]) -> str:
    """How to log in, and the first request to send."""
    api = layout.url("API_PORT")
    return f"""
Log in to the admin as  admin / {secrets["DEMO_ADMIN_PASSWORD"]}
and to the API as       demo1 / {secrets["DEMO_PASSWORD"]}   (both kept in {layout.secrets})

A first expense, to follow by its correlation ID:
  TOKEN=$(curl -s {api}/api/v1/auth/login/ -H 'Content-Type: application/json' \\
    -d '{{"username": "demo1", "password": "{secrets["DEMO_PASSWORD"]}"}}' | \\
    python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')
  curl -i {api}/api/v1/expenses/ -H "Authorization: Token $TOKEN" \\
    -H 'Content-Type: application/json' -H 'X-Correlation-ID: my-first-expense' \\
    -d '{{"title": "Lunch", "merchant": "Cafe", "amount": "12.50", "currency": "EUR",
         "spent_on": "2026-01-15"}}'
  make logs ID=my-first-expense
"""
