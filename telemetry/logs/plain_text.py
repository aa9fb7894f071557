"""What is written to standard error beside logging: a traceback at the end, a warning, a print.

Servers write some of it themselves, before logging is there or after it is gone. In JSON mode each
of its lines becomes a line of the log, a traceback one line as a whole. What C code writes to the
descriptor (a segmentation fault) does not pass here.

A library may give a logger a handler of its own at any time. What that one writes comes here as
well; its record has a line of the log already, or gets one now.
"""

from __future__ import annotations

import atexit
import codecs
import inspect
import io
import logging
import sys
import threading
from types import TracebackType
from typing import Any

from telemetry.logs.standard_error import standard_error

logger = logging.getLogger("stderr")
#: Writes the lines of the log, once it is set up.
log_handler: logging.Handler | None = None

#: How handlers for a terminal write, those of a kind of their own mostly too.
_EMIT = logging.StreamHandler.emit.__code__
#: Characters that wait for the end of their line, and lines for the end of their traceback: a
#: progress bar never ends its line.
_LONGEST_LINE = 8192
_MOST_LINES = 500
_LONGEST_REPR = 300
#: Texts that are kept while the log is being written, and how often those that come meanwhile are.
_MOST_MEANWHILE = 100
_MOST_ROUNDS = 100


class _Begun(threading.local):
    """What a thread wrote and did not end yet."""

    def __init__(self) -> None:
        self.line = ""
        self.traceback: list[str] = []
        #: The log is being written: what comes now is of a signal handler, a finalizer, or of the
        #: log itself, which cannot be written and says so here.
        self.writing = False
        self.meanwhile: list[str] = []
        #: Bytes of a character that was not written whole.
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")


class PlainText(io.TextIOBase):
    """Stands in for ``sys.stderr``; ``stream`` is the one behind it.

    It has what libraries ask a text stream for. ``fileno`` is the real one, so that a child process
    and ``faulthandler`` write there.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._begun = _Begun()
        self._bytes = _Bytes(self)
        atexit.register(self.end)

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        frame = inspect.currentframe()
        caller = frame and frame.f_back
        if log_handler is not None and caller is not None and caller.f_code is _EMIT:
            record = caller.f_locals["record"]
            if not _reaches(log_handler, record.name):
                log_handler.handle(record)
            return len(text)
        begun = self._begun
        if begun.writing:
            if len(begun.meanwhile) < _MOST_MEANWHILE:
                begun.meanwhile.append(text)
            else:
                standard_error.drop("format_failed")
            return len(text)
        begun.writing = True
        try:
            self._take_all(text)
            # What a signal handler writes now is of another time than this; what the log writes
            # about itself comes again with each attempt.
            for _ in range(_MOST_ROUNDS):
                if not begun.meanwhile:
                    break
                text_meanwhile, begun.meanwhile = "".join(begun.meanwhile), []
                self._take_all(text_meanwhile)
            if begun.meanwhile:
                standard_error.drop("format_failed", len(begun.meanwhile))
                begun.meanwhile = []
        finally:
            begun.writing = False
        return len(text)

    def _take_all(self, text: str) -> None:
        begun = self._begun
        *lines, begun.line = (begun.line + text).split("\n")
        for line in lines:
            self._take(line)
        if len(begun.line) > _LONGEST_LINE:
            self._take(begun.line)
            begun.line = ""

    def _take(self, line: str) -> None:
        traceback = self._begun.traceback
        traceback.append(line)
        # It ends with its first line that is not indented, that of a group with a line of dashes.
        if line.startswith("  ") and line.lstrip()[:1] in {"+", "|"}:
            ended = line.strip().strip("-") == "+"
        else:
            ended = not line.startswith("Traceback (") and (
                len(traceback) == 1 or line[:1] not in {" ", ""}
            )
        if ended or len(traceback) > _MOST_LINES:
            self._say()

    def _say(self) -> None:
        begun = self._begun
        text = "\n".join(begun.traceback).strip()
        begun.traceback = []
        if text:
            logger.error("%s", text)

    def end(self) -> None:
        """Write what this thread did not end."""
        begun = self._begun
        begun.line += begun.decoder.decode(b"", final=True)
        if begun.line or begun.traceback:
            begun.traceback.append(begun.line)
            begun.line = ""
            self._say()

    def decoded(self, data: bytes) -> str:
        """The text of bytes that this thread wrote, but for the beginning of a character."""
        return self._begun.decoder.decode(data)

    def flush(self) -> None:
        self.stream.flush()

    def close(self) -> None:
        """Nobody closes standard error for all others."""
        self.end()

    def fileno(self) -> int:
        number: int = self.stream.fileno()
        return number

    def isatty(self) -> bool:
        return bool(self.stream.isatty())

    def writable(self) -> bool:
        return True

    def reconfigure(self, **options: Any) -> None:
        """As ``io.TextIOWrapper.reconfigure``, for the stream behind; the log stays UTF-8."""
        self.stream.reconfigure(**options)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(self.stream.encoding)

    @property
    def errors(self) -> Any:  # type: ignore[override]
        return self.stream.errors

    @property
    def newlines(self) -> Any:  # type: ignore[override]
        return self.stream.newlines

    @property
    def buffer(self) -> Any:
        return self._bytes

    def detach(self) -> Any:
        """The bytes, for whoever makes a text stream of another encoding of them. This one stays
        as it is, unlike others: it is what everybody else writes to."""
        return self._bytes

    def __getattr__(self, name: str) -> Any:
        """``name``, ``mode``, ``line_buffering`` and the like, as the stream behind has them."""
        if name == "stream":
            # A copy that is being made has nothing yet.
            raise AttributeError(name)
        return getattr(self.stream, name)


class _Bytes(io.BufferedIOBase):
    """``sys.stderr.buffer``: bytes become lines as well."""

    def __init__(self, text: PlainText) -> None:
        self._text = text

    def write(self, data: Any) -> int:
        # Raises TypeError for what is no bytes, as a text or a number.
        given = memoryview(data)
        if text := self._text.decoded(given.tobytes()):
            self._text.write(text)
        return given.nbytes

    def flush(self) -> None:
        self._text.flush()

    def close(self) -> None:
        """As the text."""

    def fileno(self) -> int:
        return self._text.fileno()

    def isatty(self) -> bool:
        return self._text.isatty()

    def writable(self) -> bool:
        return True

    @property
    def raw(self) -> Any:
        behind = self._text.stream.buffer
        # There is no buffer where Python runs unbuffered.
        return getattr(behind, "raw", behind)

    @property
    def name(self) -> Any:
        return self._text.name

    @property
    def mode(self) -> str:
        return "wb"


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
    if sys.stderr is not None and not isinstance(sys.stderr, PlainText):
        sys.stderr = PlainText(sys.stderr)
        sys.excepthook = _process_ends


def install_hooks() -> None:
    """Make one record of what Python would print about a thread and a finalizer.

    A hook that somebody else set stays.
    """
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _thread_ends
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _exception_ignored


def _process_ends(
    kind: type[BaseException], error: BaseException, frames: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger.critical("the process ends", exc_info=(kind, error, frames))


def _thread_ends(ended: Any) -> None:
    """``threading.excepthook``; its argument is a ``threading.ExceptHookArgs``."""
    if issubclass(ended.exc_type, SystemExit):
        return
    name = ended.thread.name if ended.thread is not None else "?"
    logger.error(
        "exception in thread %s",
        name,
        exc_info=(ended.exc_type, ended.exc_value, ended.exc_traceback),
    )


def _exception_ignored(ignored: Any) -> None:
    """``sys.unraisablehook``; its argument is a ``sys.UnraisableHookArgs``."""
    said = ignored.err_msg or "Exception ignored in"
    error = ignored.exc_value
    if error is None:
        error = ignored.exc_type()
    logger.error(
        "%s %s",
        said[:1].lower() + said[1:],
        _shown(ignored.object),
        exc_info=(ignored.exc_type, error, ignored.exc_traceback),
    )


def _shown(value: Any) -> str:
    """A function or an object that is being destroyed, whose repr may need what is gone."""
    try:
        return repr(value)[:_LONGEST_REPR]
    except Exception:  # noqa: BLE001
        return f"an object of {type(value).__name__}"


def behind(stream: Any) -> Any:
    """The stream itself: the log's own lines go there."""
    return stream.stream if isinstance(stream, PlainText) else stream
