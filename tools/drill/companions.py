"""Alerts that may fire beside the one that a fault is about, and why."""

from __future__ import annotations

from tools.drill.fault import Companions

_BURNS = "what fails or is too slow uses up an error budget"
_REMEMBERS = "its windows of hours and days hold the fault after it has ended, too"

#: Its account logs in where no other traffic does.
PROBE: Companions = {"ServiceProbeFailing": "the probe's readiness or login fails as well"}
FAILING: Companions = {
    **PROBE,
    "HighErrorRate": "the requests that fail are more than a tenth of all",
    "EndpointFailing": "requests to single endpoints fail",
    "ErrorBudgetFastBurn": _BURNS,
    "ErrorBudgetSlowBurn": _REMEMBERS,
}
WAITING: Companions = {
    "HighResponseTime": "the slow answers are more than one in twenty of all",
    "EndpointSlow": "requests to single endpoints are slow",
}
#: A database that answers late.
SLOW_DATABASE: Companions = {
    **WAITING,
    **PROBE,
    "ProbeDown": "its login takes longer than its scrape may, whose limit is compressed",
    "ErrorBudgetFastBurn": _BURNS,
    "ErrorBudgetSlowBurn": _REMEMBERS,
    "ConnectionPoolExhausted": "requests wait for a connection, up to three seconds each",
}
#: A database that gives no connection.
NO_DATABASE: Companions = {**FAILING, **SLOW_DATABASE}
