"""Alerts about error budgets that burn too fast, in two windows at once.

Source: Google's Site Reliability Workbook, chapter 5, multiwindow multi-burn-rate alerts.
"""

from __future__ import annotations

from monitoring.alerts.alert import FAILED, Alert
from monitoring.alerts.table import FAST_BURN, LEAST_BAD, OBJECTIVES, PERIOD, SLOW_BURN, Burn
from monitoring.alerts.words import bound


def alerts() -> list[Alert]:
    return [_alert("ErrorBudgetFastBurn", "critical", FAST_BURN), _slow()]


def _alert(name: str, severity: str, burns: tuple[Burn, ...]) -> Alert:
    pairs = " and ".join(f"factor {burn.factor:g} over {bound(burn.long)}" for burn in burns)
    return Alert(
        name,
        severity,
        " or ".join(_burning(burn) for burn in burns),
        "{{ $labels.sli }} of {{ $labels.slo }}: {{ $value | humanizePercentage }} of the requests "
        "break the promise",
        f"""The error budget of {bound(PERIOD)} is being used up too fast (alert at {pairs},
        confirmed by a short window, and by the one before it). sli availability counts 5xx answers,
        latency counts slow answers. The dashboard SLOs tells what is left.""",
        "slo",
        ("job", "slo"),
        FAILED,
        {"minDuration": f"{min(objective.seconds for objective in OBJECTIVES):g}s"},
    )


def _slow() -> Alert:
    return _alert("ErrorBudgetSlowBurn", "warning", SLOW_BURN)


def _burning(burn: Burn) -> str:
    """The share of bad requests in the long window, while both windows burn too fast."""
    limit = f"{burn.factor:g} * (1 - slo:objective:ratio)"
    return (
        f"(slo:sli_error:ratio{burn.long} > {limit} "
        f"and slo:sli_error:ratio{burn.short} > {limit} "
        f"and slo:sli_errors:increase{burn.long} > {LEAST_BAD} "
        # Some failures in one moment of a quiet night burn nothing that anybody could stop.
        f"and slo:sli_errors:increase{burn.short} offset {burn.short} > 0)"
    )
