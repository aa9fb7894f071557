"""The span that is current here, by OpenTelemetry's own variable.

``opentelemetry.context`` leads to a context variable through two functions each way: 11 thousand
instructions of a request with two statements, 3 without them. Another implementation, which
``OTEL_PYTHON_CONTEXT`` may name, is asked through the functions.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from opentelemetry import context as api
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import Span
from opentelemetry.trace.propagation import _SPAN_KEY

#: Gives the context that is current, an OpenTelemetry ``Context``.
get: Callable[[], Context]
#: Makes a context the current one and gives a token for ``detach``.
attach: Callable[[Context], Token[Context]]
#: Takes that back.
detach: Callable[[Token[Context]], None]

SPAN = _SPAN_KEY


def _functions(runtime: Any) -> tuple[Any, Any, Any]:
    """``get``, ``attach`` and ``detach`` of an implementation."""
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and type(variable) is ContextVar:
        return variable.get, variable.set, variable.reset
    return api.get_current, api.attach, api.detach


get, attach, detach = _functions(api._RUNTIME_CONTEXT)  # noqa: SLF001


def with_span(span: Span) -> Context:
    """What is current, and the span."""
    outside = get()
    return Context({**outside, SPAN: span} if outside else {SPAN: span})


#: The block that made a context the current one.
_BLOCK = api.create_key("telemetry-block")


class Block:
    """Makes a span the current one until :meth:`leave`, wherever and in whatever order that comes.

    A block inside a generator may be left in another context than it was entered in: another task
    closes an asynchronous generator, the garbage collector one that nobody reads to its end. A
    token of ``contextvars`` raises ValueError there. Of two generators that are read in turns the
    first may end first, and what was current before it must not come back while the second runs.
    """

    __slots__ = ("_left", "_outside")
    _outside: Context
    _left: bool

    def __init__(self, span: Span) -> None:
        outside = get()
        if isinstance(enclosing := outside.get(_BLOCK), Block):
            # Without this, generators read in turns would make a chain that never ends.
            enclosing._outside = _open(enclosing._outside)  # noqa: SLF001
        self._outside = outside
        self._left = False
        attach(Context({**outside, SPAN: span, _BLOCK: self}))

    def leave(self) -> None:
        """Make current what was so before, unless this block is not the current one here."""
        self._left = True
        if get().get(_BLOCK) is self:
            attach(_open(self._outside))


def leave_ended() -> None:
    """Make current what was so before the blocks that were left in another context."""
    attach(_open(get()))


def _open(context: Context) -> Context:
    """Return ``context``, or the one around it while its block was left."""
    while isinstance(block := context.get(_BLOCK), Block) and block._left:  # noqa: SLF001
        context = block._outside  # noqa: SLF001
    return context
