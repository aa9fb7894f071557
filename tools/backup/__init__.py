"""A copy of all that the local run keeps, taken while it runs, and its way back."""
