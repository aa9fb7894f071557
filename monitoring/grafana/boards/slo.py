"""How much of each error budget is left, and how fast does it burn?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.alerts.table import FAST_BURN, OBJECTIVES, PERIOD, SLOW_BURN
from monitoring.alerts.words import bound
from monitoring.grafana.boards.common import board
from monitoring.grafana.panels import graph, number, query

#: Recorded over all instances: they have no label ``instance``.
_CHOSEN = 'job=~"$job", slo=~"$slo"'


def make() -> dashboard.Dashboard:
    promises = "; ".join(
        f"{each.name}: {each.availability:.1%} without 5xx, {each.latency:.0%} within "
        f"{each.seconds:g} s"
        for each in OBJECTIVES
    )
    burns = ((burn, "critical") for burn in FAST_BURN), ((burn, "warning") for burn in SLOW_BURN)
    return board(
        "slo",
        "SLOs and Error Budgets",
        f"What is left of the error budgets of {bound(PERIOD)}?",
        [
            number(
                "Least budget left",
                f"The part of the {bound(PERIOD)} budget that is left, of the promise that has "
                f"least; counted every 5 minutes. 0 is a broken promise. Promised: {promises}.",
                "percentunit",
                f"min(slo:error_budget_remaining:ratio{{{_CHOSEN}}})",
                floor=0.25,
            ),
            number(
                "Requests in the last hour",
                "Requests that the promises are about.",
                "short",
                f'sum(slo:sli_events:increase1h{{{_CHOSEN}, sli="availability"}})',
            ),
            number(
                "Failed in the last hour",
                "5xx answers among them.",
                "short",
                f'sum(slo:sli_errors:increase1h{{{_CHOSEN}, sli="availability"}})',
                warning=5,
            ),
            number(
                "Slow in the last hour",
                "Answers that came later than promised.",
                "short",
                f'sum(slo:sli_errors:increase1h{{{_CHOSEN}, sli="latency"}})',
                warning=5,
            ),
            graph(
                "Budget left",
                "Falls with each broken request, and recovers as old ones leave the period.",
                "percentunit",
                [query(f"slo:error_budget_remaining:ratio{{{_CHOSEN}}}", "{{slo}} {{sli}}")],
                floor=0.25,
                least=None,
            ),
            graph(
                "Share of broken requests, 5 minutes",
                "5xx answers for availability, late answers for latency.",
                "percentunit",
                [query(f"slo:sli_error:ratio5m{{{_CHOSEN}}}", "{{slo}} {{sli}}")],
            ),
            *(
                graph(
                    f"Burn rate over {bound(burn.long)}",
                    f"How many times too fast the budget goes; {severity} from {burn.factor:g}, "
                    f"when the last {bound(burn.short)} burn as fast.",
                    "short",
                    [
                        query(
                            f"slo:sli_error:ratio{burn.long}{{{_CHOSEN}}} "
                            f"/ (1 - slo:objective:ratio{{{_CHOSEN}}})",
                            "{{slo}} {{sli}}",
                        )
                    ],
                    **{severity: burn.factor},
                )
                for pairs in burns
                for burn, severity in pairs
            ),
        ],
        ["slo"],
        instances=False,
    )
