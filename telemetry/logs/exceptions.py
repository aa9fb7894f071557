"""An exception as fields of a log line: types, messages and frames, without local values.

What Python's traceback shows is there: the chain of causes, the members of a group, the notes
(PEP 654, PEP 678). All of it is bounded.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from telemetry.logs.masking import mask_text, without_detail
from telemetry.logs.shapes import name_of

_MOST_FRAMES = 50
#: Of a cause and of a member of a group.
_MOST_FRAMES_OF_OTHERS = 10
#: Causes and members of one exception altogether.
_MOST_OTHERS = 20
_MOST_NOTES = 10
#: Of a message, a note, a frame.
_LONGEST_TEXT = 1000
_LONGEST_NAME = 200
_TOLD = "_telemetry_told"


def message_of(error: BaseException) -> str:
    """The message, without secrets and without the values of rows."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001  a broken __str__ must not lose the line
        text = f"<no message: {type(broken).__name__}>"
    return mask_text(without_detail(text))


class ExceptionFields(dict[str, Any]):
    """The fields of an exception, and the exception: handlers of others take that."""

    def __init__(self, fields: dict[str, Any], error: BaseException) -> None:
        super().__init__(fields)
        self.error = error


def fields_of(error: BaseException) -> ExceptionFields:
    """Return ``type``, ``message`` and ``frames`` (the innermost last) of an exception.

    Where it has them also ``notes``, a list of texts; ``exceptions``, the members of a group; and
    ``causes``, from the direct one to the first, each with its ``relation``: ``cause`` (``raise …
    from``) or ``context`` (raised while that one was handled). Members and causes have the same
    fields. ``omitted`` is the number of members and of chains that were too long.
    """
    described = _Description()
    found = described.of(error, _MOST_FRAMES)
    if described.omitted:
        found["omitted"] = described.omitted
    with suppress(Exception):
        # Slots, a __setattr__ of its own: then it is told twice.
        setattr(error, _TOLD, True)
    return ExceptionFields(found, error)


class _Description:
    """One exception's way through its causes and members; each is described once."""

    def __init__(self) -> None:
        self.omitted = 0
        self._left = _MOST_OTHERS
        self._described: set[int] = set()

    def of(self, error: BaseException, most_frames: int) -> dict[str, Any]:
        found = self._alone(error, most_frames)
        if causes := list(self._causes(error)):
            found["causes"] = causes
        return found

    def _alone(self, error: BaseException, most_frames: int) -> dict[str, Any]:
        """Without its causes."""
        self._described.add(id(error))
        message = message_of(error)
        found: dict[str, Any] = {
            "type": _type_of(error),
            "message": message if most_frames == _MOST_FRAMES else message[:_LONGEST_TEXT],
            "frames": _frames(error, most_frames),
        }
        if notes := _notes(error):
            found["notes"] = notes
        if isinstance(error, BaseExceptionGroup):
            found["exceptions"] = [
                self.of(member, _MOST_FRAMES_OF_OTHERS)
                for member in _members(error)
                if self._takes(member)
            ]
        return found

    def _causes(self, error: BaseException) -> Iterator[dict[str, Any]]:
        """The chain as a flat list: nested, it would be too deep for what reads the line."""
        relation, cause = _cause_of(error)
        while cause is not None and self._takes(cause):
            yield {"relation": relation, **self._alone(cause, _MOST_FRAMES_OF_OTHERS)}
            relation, cause = _cause_of(cause)

    def _takes(self, error: BaseException) -> bool:
        if id(error) in self._described:
            return False
        if self._left == 0:
            self.omitted += 1
            return False
        self._left -= 1
        return True


def _type_of(error: BaseException) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")[:_LONGEST_NAME]


def _frames(error: BaseException, most: int) -> list[str]:
    """The innermost frames; a file is not opened for its lines."""
    frames = deque(traceback.walk_tb(error.__traceback__), maxlen=most)
    return [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"[-_LONGEST_TEXT:]
        for frame, line in frames
    ]


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list | tuple):
        return []
    return [
        mask_text(without_detail(note))[:_LONGEST_TEXT] if isinstance(note, str) else name_of(note)
        for note in notes[:_MOST_NOTES]
    ]


def _members(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """A subclass may answer with anything, or raise."""
    try:
        return [member for member in group.exceptions if isinstance(member, BaseException)]
    except Exception:  # noqa: BLE001
        return []


def _cause_of(error: BaseException) -> tuple[str, BaseException | None]:
    """What Python's traceback shows above ``error``."""
    try:
        if isinstance(error.__cause__, BaseException):
            return "cause", error.__cause__
        context = None if error.__suppress_context__ else error.__context__
    except Exception:  # noqa: BLE001  a subclass may answer with anything, or raise
        return "context", None
    return "context", context if isinstance(context, BaseException) else None


def was_told(error: BaseException | None) -> bool:
    """Whether a line had the exception already."""
    return error is not None and _TOLD in getattr(error, "__dict__", ())
