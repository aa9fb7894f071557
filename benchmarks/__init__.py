"""Every speed claim, to be run again: ``make bench``, or ``python -m benchmarks.request_cost``."""
