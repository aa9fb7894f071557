"""Random trace and span ids (W3C Trace Context: 16 and 8 bytes, not all zero).

Many come from one read of the system's randomness: 0.9 thousand instructions for an id against
15 thousand of ``uuid4().hex``. A forked child throws its parent's away, or both would use them.
"""

from __future__ import annotations

import os
import struct

_AT_ONCE = 256
_TRACE, _SPAN = 16, 8

_traces: list[bytes] = []
_spans: list[bytes] = []


def new_trace_id() -> bytes:
    while True:
        try:
            return _traces.pop()
        except IndexError:
            # Others may take all of them in the meantime.
            _traces.extend(_fresh(_TRACE))


def new_span_id() -> bytes:
    while True:
        try:
            return _spans.pop()
        except IndexError:
            # Others may take all of them in the meantime.
            _spans.extend(_fresh(_SPAN))


#: One of the ids that are left. They raise IndexError where none is: then ask the functions above.
next_trace_id, next_span_id = _traces.pop, _spans.pop


def _fresh(size: int) -> list[bytes]:
    ids = struct.unpack(f"{size}s" * _AT_ONCE, os.urandom(size * _AT_ONCE))
    zero = bytes(size)
    return [found for found in ids if found != zero] if zero in ids else list(ids)


def _forget() -> None:
    _traces.clear()
    _spans.clear()


os.register_at_fork(after_in_child=_forget)
