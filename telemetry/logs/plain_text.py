"""What is written to standard error beside logging: a traceback at the end, a warning, a print.

Servers write some of it themselves, before logging is there or after it is gone. In JSON mode each
of its lines becomes a line of the log, a traceback one line as a whole. What C code writes to the
descriptor (a segmentation fault) does not pass here.

A library may give a logger a handler of its own at any time. What that one writes comes here as
well; its record has a line of the log already, or gets one now.
"""

from __future__ import annotations

import atexit
import inspect
import io
import logging
import sys
import threading
from types import TracebackType
from typing import Any

logger = logging.getLogger("stderr")
#: Writes the lines of the log, once it is set up.
log_handler: logging.Handler | None = None

#: How handlers for a terminal write, those of a kind of their own mostly too.
_EMIT = logging.StreamHandler.emit.__code__
#: Characters that wait for the end of their line, and lines for the end of their traceback: a
#: progress bar never ends its line.
_LONGEST_LINE = 8192
_MOST_LINES = 500


class _Begun(threading.local):
    """What a thread wrote and did not end yet."""

    def __init__(self) -> None:
        self.line = ""
        self.traceback: list[str] = []
        #: The log itself cannot be written, and says so here.
        self.saying = False


class PlainText(io.TextIOBase):
    """Stands in for ``sys.stderr``; ``stream`` is the one behind it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._begun = _Begun()
        atexit.register(self.end)

    def write(self, text: str) -> int:
        frame = inspect.currentframe()
        caller = frame and frame.f_back
        if log_handler is not None and caller is not None and caller.f_code is _EMIT:
            record = caller.f_locals["record"]
            if not _reaches(log_handler, record.name):
                log_handler.handle(record)
            return len(text)
        *lines, self._begun.line = (self._begun.line + text).split("\n")
        for line in lines:
            self._take(line)
        if len(self._begun.line) > _LONGEST_LINE:
            self.end()
        return len(text)

    def _take(self, line: str) -> None:
        traceback = self._begun.traceback
        traceback.append(line)
        # It ends with its first line that is not indented.
        ended = not line.startswith("Traceback (") and (
            len(traceback) == 1 or line[:1] not in {" ", ""}
        )
        if ended or len(traceback) > _MOST_LINES:
            self._say()

    def _say(self) -> None:
        begun = self._begun
        text = "\n".join(begun.traceback).strip()
        begun.traceback = []
        if not text or begun.saying:
            return
        begun.saying = True
        try:
            logger.error("%s", text)
        finally:
            begun.saying = False

    def end(self) -> None:
        """Write what this thread did not end."""
        self._begun.traceback.append(self._begun.line)
        self._begun.line = ""
        self._say()

    def flush(self) -> None:
        self.stream.flush()

    def fileno(self) -> int:
        number: int = self.stream.fileno()
        return number

    def isatty(self) -> bool:
        return bool(self.stream.isatty())

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(self.stream.encoding)

    @property
    def buffer(self) -> Any:
        return self.stream.buffer


def _reaches(handler: logging.Handler, name: str) -> bool:
    """Whether the handler gets the records of this logger by itself."""
    asked: logging.Logger | None = logging.getLogger(name)
    while asked is not None:
        if handler in asked.handlers:
            return True
        asked = asked.parent if asked.propagate else None
    return False


def install() -> None:
    """Lead ``sys.stderr`` through the log, once, and what ends the process as an exception."""
    if not isinstance(sys.stderr, PlainText):
        sys.stderr = PlainText(sys.stderr)
        sys.excepthook = _process_ends


def _process_ends(
    kind: type[BaseException], error: BaseException, frames: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger.critical("the process ends", exc_info=(kind, error, frames))


def behind(stream: Any) -> Any:
    """The stream itself: the log's own lines go there."""
    return stream.stream if isinstance(stream, PlainText) else stream
