"""An exception as fields of a log line: type, message and frames, without local values."""

from __future__ import annotations

import traceback
from contextlib import suppress
from typing import Any

from telemetry.logs.masking import mask_text, without_detail

_MOST_FRAMES = 50
_TOLD = "_telemetry_told"


def message_of(error: BaseException) -> str:
    """The message, without secrets and without the values of rows."""
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001  a broken __str__ must not lose the line
        text = f"<no message: {type(broken).__name__}>"
    return mask_text(without_detail(text))


def fields_of(error: BaseException) -> dict[str, Any]:
    """``{"type", "message", "frames", "cause"}``; the cause has no frames of its own."""
    frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
    found: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
        "message": message_of(error),
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    with suppress(Exception):
        # Slots, a __setattr__ of its own: then it is told twice.
        setattr(error, _TOLD, True)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        found["cause"] = f"{type(cause).__name__}: {message_of(cause)}"
    return found


def was_told(error: BaseException | None) -> bool:
    """Whether a line had the exception already."""
    return error is not None and _TOLD in getattr(error, "__dict__", ())
