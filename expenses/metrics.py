"""The business metrics. Counted after the commit, so that they never speak of undone work."""

from telemetry import counter

expenses_created = counter(
    "expenses_created_total", "Expenses created by people, by currency.", ["currency"]
)
expenses_status_changes = counter(
    "expenses_status_changes_total",
    "Moves of an expense from one status to another.",
    ["from_status", "to_status"],
)
