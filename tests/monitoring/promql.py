"""What an expression of PromQL asks for, read well enough for rules, runbooks and dashboards."""

from __future__ import annotations

import re

_OPERATORS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
#: What is no metric: texts, ranges (in this order).
_ASIDE = (re.compile(r"\"[^\"]*\""), re.compile(r"\[[^\]]*\]"))
_MATCHERS = re.compile(r"\{[^}]*\}")
#: A name, and the number of its matchers.
_NAME = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])(?:\s*#(\d+)#)?")


def selectors(expression: str) -> list[tuple[str, str]]:
    """Metric and matchers of each selector, the matchers empty where there are none."""
    matchers: list[str] = []

    def aside(found: re.Match[str]) -> str:
        matchers.append(found[0][1:-1])
        return f"#{len(matchers) - 1}#"

    expression = _MATCHERS.sub(aside, expression)
    for other in (*_ASIDE, _GROUPING):
        expression = other.sub("", expression)
    return [
        (name, matchers[int(number)] if number else "")
        for name, number in _NAME.findall(expression)
        if name not in _OPERATORS
    ]


def metrics(expression: str) -> set[str]:
    """Names of the metrics in it, of a histogram without ``_bucket``, ``_sum`` and ``_count``."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name, _ in selectors(expression)}
