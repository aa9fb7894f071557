"""``structlog.contextvars`` of one request: a thread keeps its context for the next request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from structlog import contextvars
from structlog.contextvars import bind_contextvars, get_contextvars, unbind_contextvars

#: The variables that were ever bound in this process; while there are none nothing needs to be
#: asked, which takes 5 microseconds. A private name, seen in structlog 26.1.
variables: Any = getattr(contextvars, "_CONTEXT_VARS", True)


def enter(bound: Mapping[str, Any]) -> dict[str, Any]:
    """Bind ``bound`` beside what is there; return what was there before."""
    before = get_contextvars()
    if bound:
        bind_contextvars(**bound)
    return before


def leave(before: Mapping[str, Any]) -> dict[str, Any]:
    """Bind what was there before and nothing else; return what was bound meanwhile."""
    bound = get_contextvars()
    unbind_contextvars(*(bound.keys() - before.keys()))
    bind_contextvars(**before)
    return bound
