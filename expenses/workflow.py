"""How an expense moves through its statuses."""

from __future__ import annotations

from expenses.models import Status

#: What an expense's owner may do.
OWNER_MOVES = frozenset({(Status.DRAFT, Status.SUBMITTED), (Status.SUBMITTED, Status.DRAFT)})

#: What needs the permission ``expenses.approve_expense``.
APPROVER_MOVES = frozenset(
    {(Status.SUBMITTED, Status.APPROVED), (Status.SUBMITTED, Status.REJECTED)}
)

#: What an owner may no longer change or delete: somebody has signed it.
LOCKED = frozenset({Status.APPROVED, Status.REIMBURSED})
