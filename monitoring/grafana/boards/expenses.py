"""What happens to expenses: what is created, and how does it go on?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, rate
from monitoring.grafana.panels import graph, number, query


def make() -> dashboard.Dashboard:
    return board(
        "expenses",
        "Expenses",
        "What happens to expenses: what is created, approved, rejected, and changed by code?",
        [
            number(
                "Created in the last day",
                "Expenses that clients and importers made.",
                "short",
                "sum(increase(expenses_created_total{SELECTOR}[1d]))",
            ),
            number(
                "Moved in the last day",
                "Changes of status, of all kinds.",
                "short",
                "sum(increase(expenses_status_changes_total{SELECTOR}[1d]))",
            ),
            graph(
                "Created by currency",
                "Expenses a second.",
                "ops",
                [query(rate("expenses_created_total", "currency"), "{{currency}}")],
            ),
            graph(
                "Changes of status",
                "A second.",
                "ops",
                [
                    query(
                        rate("expenses_status_changes_total", "from_status, to_status"),
                        "{{from_status}} to {{to_status}}",
                    )
                ],
            ),
        ],
    )
