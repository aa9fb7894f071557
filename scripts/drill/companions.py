"""Alerts that may fire beside the one that a fault is about, and why."""

from __future__ import annotations

from scripts.drill.fault import Companions

_BURNS = "what fails or is too slow uses up an error budget"

FAILING: Companions = {
    "HighErrorRate": "the requests that fail are more than a tenth of all",
    "EndpointFailing": "requests to single endpoints fail",
    "ErrorBudgetFastBurn": _BURNS,
    "ErrorBudgetSlowBurn": _BURNS,
}
SLOW: Companions = {
    "HighResponseTime": "the slow answers are more than one in twenty of all",
    "EndpointSlow": "requests to single endpoints are slow",
    "ErrorBudgetFastBurn": _BURNS,
    "ErrorBudgetSlowBurn": _BURNS,
}
#: A database that gives no connection, or gives it late.
NO_DATABASE: Companions = {
    **FAILING,
    **SLOW,
    "ConnectionPoolExhausted": "requests wait for a connection, up to three seconds each",
}
