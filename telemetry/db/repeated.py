"""N+1: the same statement shape too often within one request, and the line that ran it."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from types import FrameType

import django

from telemetry import settings
from telemetry.context import Operation

#: Past this many different shapes one request's repetitions are not looked for any more.
MOST_SHAPES = 500

#: Code that is nobody's to mend here.
_NOT_THE_USERS = (
    f"{Path(django.__file__).parent}/",
    f"{Path(__file__).parent.parent}/",
    sysconfig.get_path("stdlib") + "/",
    sysconfig.get_path("purelib") + "/",
    sysconfig.get_path("platlib") + "/",
    # gunicorn's own script, below which the statements of an asynchronous view run.
    sysconfig.get_path("scripts") + "/",
    "<",
)


def note(operation: Operation, shape: str) -> None:
    """A shape ran once more; where it is one too many, remember which line ran it."""
    times = operation.shapes[shape] = operation.shapes[shape] + 1
    if times == settings.get().REPEATED_QUERIES + 1:
        operation.repeated[shape] = user_line()


def user_line() -> str:
    """``file:line function`` of the innermost frame that is user code, empty where none is."""
    # A summary of the whole stack would cost a hundred times more.
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_NOT_THE_USERS):
            return f"{code.co_filename}:{frame.f_lineno} {code.co_name}"
        frame = frame.f_back
    return ""
