"""What ``make up`` and ``make status`` show: what runs where, how to log in, what to try first."""

from __future__ import annotations

from scripts.local.layout import Layout
from scripts.local.parts import answers

_NO_PAGE = "API only: built from source it has no web page"


def rows(layout: Layout) -> list[tuple[str, str, str, str]]:
    """Name, address for people, what it is, and the address that tells whether it answers."""
    api, metrics = layout.url("API_PORT"), layout.url("PROMETHEUS_PORT", "/metrics")
    prometheus, jaeger = layout.url("PROMETHEUS_SERVER_PORT"), layout.url("JAEGER_QUERY_PORT")
    alertmanager = layout.url("ALERTMANAGER_PORT")
    return [
        ("API", f"{api}/api/v1/", "token login, see below", f"{api}/health/ready"),
        ("API docs", f"{api}/api/docs/", "", f"{api}/health/live"),
        ("Admin", f"{api}/admin/", "", f"{api}/health/live"),
        (
            "Rates",
            layout.url("RATES_PORT", "/rates/USD/"),
            f"the demo's second service, called by {api}/api/v1/demo/rates/USD/",
            layout.url("RATES_PORT", "/health/live"),
        ),
        ("Metrics", f"{api}/metrics", f"the same on {metrics}", f"{api}/metrics"),
        ("Prometheus", prometheus, _NO_PAGE, f"{prometheus}/-/ready"),
        ("Alertmanager", alertmanager, "", f"{alertmanager}/-/ready"),
        (
            "Notifications",
            layout.url("NOTIFICATIONS_PORT"),
            f"printed to {layout.logs / 'notifications.log'}",
            layout.url("NOTIFICATIONS_PORT"),
        ),
        ("Jaeger", jaeger, _NO_PAGE, f"{jaeger}/api/services"),
    ]


def text(layout: Layout, missing: dict[str, str], *, stack: bool = True) -> str:
    """The table. ``missing`` says why a part of the stack is not there."""
    lines = []
    for name, address, note, ready in rows(layout):
        part = name.lower()
        if part in {"prometheus", "alertmanager", "notifications", "jaeger"}:
            if not stack:
                continue
            if part in missing:
                lines.append(f"  {name:13} {missing[part]}")
                continue
        mark = "" if answers(ready, 1.0) else "  (starting)"
        lines.append(f"  {name:13} {address:36} {note}{mark}".rstrip())
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
