"""What an expression of PromQL asks for, read well enough for rules, runbooks and dashboards."""

from __future__ import annotations

import re

_OPERATORS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
#: What is no metric: texts, selectors, ranges (in this order).
_ASIDE = (re.compile(r"\"[^\"]*\""), re.compile(r"\{[^}]*\}"), re.compile(r"\[[^\]]*\]"))
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")


def metrics(expression: str) -> set[str]:
    """Names of the metrics in it, of a histogram without ``_bucket``, ``_sum`` and ``_count``."""
    for aside in _ASIDE:
        expression = aside.sub("", expression)
    names = set(_NAME.findall(_GROUPING.sub("", expression))) - _OPERATORS
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
