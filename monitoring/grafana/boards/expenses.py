"""What happens to expenses: what is created, submitted, approved and rejected?"""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from monitoring.grafana.boards.common import board, rate
from monitoring.grafana.panels import graph, number, query


def _moved(to: str) -> str:
    moves = f'expenses_status_changes_total{{SELECTOR, to_status="{to}"}}'
    return f"sum(increase({moves}[1d])) or vector(0)"


def make() -> dashboard.Dashboard:
    return board(
        "expenses",
        "Expenses",
        "What happens to expenses: what is created, submitted, approved and rejected?",
        [
            number(
                "Created in the last day",
                "Expenses that clients and importers made.",
                "short",
                "sum(increase(expenses_created_total{SELECTOR}[1d])) or vector(0)",
            ),
            number(
                "Submitted in the last day",
                "Expenses that wait for an approval since, or were decided already.",
                "short",
                _moved("submitted"),
            ),
            number(
                "Approved in the last day",
                "By people with the permission to do so.",
                "short",
                _moved("approved"),
            ),
            number(
                "Rejected in the last day",
                "Sent back to their owner.",
                "short",
                _moved("rejected"),
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
