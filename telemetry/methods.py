"""HTTP methods: a closed list, so that no client can make series."""

from __future__ import annotations

#: RFC 9110 and RFC 5789 (PATCH).
METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER = "OTHER"


def known_method(method: str) -> str:
    """``method`` in capitals if it is one of HTTP's, else ``OTHER``."""
    if method in METHODS:
        return method
    upper = method.upper()
    return upper if upper in METHODS else OTHER
