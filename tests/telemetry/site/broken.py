"""An application that cannot be loaded."""

raise RuntimeError(
    "it broke with password=hunter2\nDETAIL:  Key (email)=(anna@example.org) exists."
)
