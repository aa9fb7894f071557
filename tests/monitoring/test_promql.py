"""The reader of PromQL that other tests rely on."""

from __future__ import annotations

import pytest

from tests.monitoring.promql import metrics, selectors


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("up", [("up", "")]),
        ('sum by (le, x) (rate(a_bucket{x="b"}[5m]))', [("a_bucket", 'x="b"')]),
        ('a{x=~"b|c"} / on (x) group_left (y) c:d:e > 1e3', [("a", 'x=~"b|c"'), ("c:d:e", "")]),
        ('label_replace(a{}, "to", "$1", "from", ".*;(.*)")', [("a", "")]),
        ("a unless b offset 5m or vector(0)", [("a", ""), ("b", "")]),
        ("avg_over_time(a:b[6h:5m]) * 72", [("a:b", "")]),
    ],
)
def test_an_expressions_selectors(expression: str, found: list[tuple[str, str]]) -> None:
    assert selectors(expression) == found


def test_the_parts_of_a_histogram_are_one_metric() -> None:
    assert metrics("a_bucket + a_sum + a_count") == {"a"}
