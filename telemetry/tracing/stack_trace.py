"""An exception's stack trace for a span: frames and source lines, no local values."""

from __future__ import annotations

import traceback
from collections.abc import Callable

#: Frames of one exception, the innermost ones: an endless recursion has a thousand.
MOST_FRAMES = 50
#: Characters of the whole; the end says what happened and is what stays.
LONGEST = 16_384
#: Members that are shown of an ExceptionGroup, and how deep.
_MOST_MEMBERS, _DEEPEST_GROUP = 10, 5


def stack_trace(error: BaseException, clean: Callable[[str], str]) -> str:
    """Return the trace of ``error`` and of what led to it. Never raises.

    ``clean`` takes secrets and values of rows out of each message and source line.
    """
    try:
        shown = traceback.TracebackException(
            type(error),
            error,
            error.__traceback__,
            limit=-MOST_FRAMES,
            max_group_width=_MOST_MEMBERS,
            max_group_depth=_DEEPEST_GROUP,
        )
        # Each piece by itself: what is cut off a message must not take the frames behind it along.
        # From the end, which is what stays: notes and messages may have megabytes.
        kept: list[str] = []
        length = 0
        for piece in reversed(list(shown.format())):
            kept.append(_cleaned(piece, clean))
            length += len(kept[-1])
            if length > LONGEST:
                break
        text = "".join(reversed(kept))
    except Exception as broken:  # noqa: BLE001  an exception whose attributes raise
        return f"<no stack trace of {type(error).__name__}: {type(broken).__name__}>"
    return text if length <= LONGEST else "…" + text[1 - LONGEST :]


def _cleaned(piece: str, clean: Callable[[str], str]) -> str:
    found = clean(piece)
    return found if found.endswith("\n") or not piece.endswith("\n") else found + "\n"
