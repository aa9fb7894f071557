"""Numbers of the table in the words of a sentence."""

from __future__ import annotations

#: The alert's value as a number of things: ``increase`` makes 12.63 of 12 or 13.
COUNT = '{{ printf "%.0f" $value }}'

_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


def bound(duration: str) -> str:
    """``2m`` as "2 minutes"."""
    number, unit = duration[:-1], _UNITS[duration[-1]]
    return f"{number} {unit}" if number == "1" else f"{number} {unit}s"


def percent(share: float) -> str:
    return f"{share * 100:g} %"


def seconds(value: float) -> str:
    return "1 second" if value == 1 else f"{value:g} seconds"
