"""Pieces of PromQL that count events where series begin, end or are sparse."""

from __future__ import annotations

from monitoring.alerts.table import JOB
from monitoring.render import seconds


def grown(selector: str, level: str, window: str) -> str:
    """By how much counters of the service grew within ``window``, summed by ``level``.

    ``increase`` sees nothing in the first sample of a series. Where the target was scraped a window
    ago and the series was not there, or where the process is younger than the window, all of it is
    new. Elsewhere, as after a pause of Prometheus, nobody knows, and ``increase`` alone counts.
    """
    known = (
        f'up{{job="{JOB}"}} offset {window} == 1 '
        f'or time() - process_start_time_seconds{{job="{JOB}"}} < {seconds(window):.0f}'
    )
    return (
        f"sum by ({level}) (({selector} unless {selector} offset {window}) "
        f"and on (job, instance) ({known}) or increase({selector}[{window}]))"
    )


def growth(selector: str, level: str, window: str) -> str:
    """The same for series that are there at 0 before their first event."""
    return f"sum by ({level}) (increase({selector}[{window}]))"


def share(bad: str, total: str, above: float, least: float) -> str:
    """More than ``above`` of ``total`` are ``bad``, and more than ``least``."""
    return f"{bad} / {total} > {above} and {bad} > {least}"


def again_and_again(recorded: str, total: str, above: float) -> str:
    """More than ``above`` of ``total`` in 15 minutes, and some in each third of them.

    This holds for what is seldom asked, whose failures are few, and not for some failures in one
    moment. ``recorded`` is the number in five minutes, absent where it is 0: then the sum is, too.
    Each of them is extrapolated, so that all can be more than the whole.
    """
    events = f"({recorded} + {recorded} offset 5m + {recorded} offset 10m)"
    return f"clamp_max({events} / {total}, 1) > {above}"


def bucket(bound: float) -> str:
    """A matcher of a histogram's bucket: whole bounds are written 1 or 1.0, by who exposes them."""
    return f'le=~"{bound:.0f}(\\\\.0)?"' if bound == int(bound) else f'le="{bound:g}"'
