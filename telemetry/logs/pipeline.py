"""One way out for all of Python's logging, structlog's and everybody else's."""

from __future__ import annotations

import logging
import logging.config
import sys
from contextlib import suppress
from typing import Any

import structlog
from structlog.typing import Processor

from telemetry.logs import plain_text, processors
from telemetry.logs.quiet import RequestLineSaysIt
from telemetry.logs.standard_error import standard_error
from telemetry.settings import LOG_FORMAT, LOG_LEVEL, LOG_LEVELS

#: Loggers that set up handlers of their own; what they say goes our way instead.
_TAKEN_OVER = (
    "django",
    "django.server",
    "gunicorn.error",
    "gunicorn.access",
    "uvicorn",
    "uvicorn.error",
    "uvicorn.access",
)
#: Their line a request repeats what ours says.
_REPEATING = ("gunicorn.access", "uvicorn.access")
#: They shout at every failed export; the span queue says it once.
_SHOUTING = ("opentelemetry.exporter", "opentelemetry.sdk", "urllib3.connectionpool")

_SHARED: list[Processor] = [
    processors.add_context,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


class LineHandler(logging.StreamHandler[Any]):
    """Lines to standard error, or to another stream; ``write`` takes one that is encoded already.

    What cannot be written is dropped and counted; it never costs who logs an exception or a wait.
    """

    #: Whether a line of ``telemetry.logs.request_line`` may come here without a formatter.
    quick = False
    encoding = "utf-8"

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        # Not the one that logging takes for None: there is no standard error.
        self.stream = stream
        #: The stream, where it is the process' standard error and nothing else.
        self._unbuffered = None
        with suppress(OSError, ValueError, AttributeError):
            if stream.fileno() == 2:
                self._unbuffered = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = (self.format(record) + "\n").encode(self.encoding, "backslashreplace")
        except Exception:  # noqa: BLE001  it is counted
            standard_error.drop("format_failed")
        else:
            self.write(line)

    def write(self, line: bytes) -> None:
        """``line`` with its end: one call, so that lines of two processes do not mix."""
        stream = self.stream
        if stream is sys.__stderr__ and stream is self._unbuffered and stream is not None:
            standard_error.write(line)
            return
        if stream is None:
            # Descriptor 2 was closed when Python started.
            standard_error.drop("closed")
            return
        self.acquire()
        try:
            binary = getattr(stream, "buffer", None)
            if binary is None:
                stream.write(line.decode(self.encoding))
                self.flush()
            else:
                # Text that somebody printed without an end comes first.
                self.flush()
                binary.write(line)
                binary.flush()
        except ValueError:
            standard_error.drop("closed")
        except Exception:  # noqa: BLE001  it is counted
            standard_error.drop("write_failed")
        finally:
            self.release()


#: The processors of structlog that we set; another list is somebody else's.
configured: list[Processor] = []


def configure_server() -> LineHandler:
    """For a process of a server, before the application is there: what it writes as well."""
    if LOG_FORMAT.read() == "json":
        plain_text.install()
    standard_error.patience = 0
    return configure()


def configure(logging_settings: dict[str, Any] | None = None) -> LineHandler:
    """Lead everything to one handler on standard error.

    ``logging_settings`` (Django's ``LOGGING``) may set levels of loggers or add handlers; it is
    applied on top as ``logging.config.dictConfig`` has it.
    """
    # gunicorn may have put its error log in the place of descriptor 2.
    standard_error.open()
    handler = LineHandler(plain_text.behind(sys.stderr))
    handler.setFormatter(formatter())
    handler.addFilter(RequestLineSaysIt())
    plain_text.log_handler = handler
    root = logging.getLogger()
    _remove_stream_handlers(root)
    root.addHandler(handler)
    root.setLevel(LOG_LEVEL.read().upper())
    for name in _TAKEN_OVER:
        logger = logging.getLogger(name)
        _remove_stream_handlers(logger)
        logger.propagate = True
    for name in _REPEATING:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SHOUTING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
    handler.quick = LOG_FORMAT.read() == "json"
    if handler.quick:
        plain_text.install_hooks()
    else:
        handler.encoding = getattr(handler.stream, "encoding", None) or "utf-8"
    configured[:] = [
        structlog.stdlib.filter_by_level,
        *_SHARED,
        processors.add_arguments,
        processors.as_record,
    ]
    structlog.configure(
        processors=configured,
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    if logging_settings:
        logging.config.dictConfig(
            {"version": 1, "disable_existing_loggers": False, **logging_settings}
        )
        _take_over(handler)
    _set_levels()
    return handler


def _take_over(handler: LineHandler) -> None:
    """Handlers of a project's own ``LOGGING`` that write to a terminal: their lines go our way.

    Through ours as well they would come twice, and what they write to standard error leads there.
    """
    root = logging.getLogger()
    named = [each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    for logger in named:
        if logger.name.startswith(("telemetry", "stderr")):
            # `disable_existing_loggers` means others.
            logger.disabled = False
        if _remove_stream_handlers(logger) and not logger.propagate:
            logger.addHandler(handler)
    _remove_stream_handlers(root)
    root.addHandler(handler)


def _set_levels() -> None:
    for name, level in LOG_LEVELS.read().items():
        logging.getLogger(name).setLevel(level)


def _remove_stream_handlers(logger: logging.Logger) -> bool:
    """Handlers that write to a terminal; files and mail to administrators stay."""
    found = [each for each in logger.handlers if _writes_to_a_terminal(each)]
    for handler in found:
        logger.removeHandler(handler)
    return bool(found)


def _writes_to_a_terminal(handler: logging.Handler) -> bool:
    if type(handler) in {logging.StreamHandler, LineHandler}:
        return True
    streams = sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__
    return isinstance(handler, logging.StreamHandler) and handler.stream in streams


class LineFormatter(structlog.stdlib.ProcessorFormatter):
    """structlog's, for which no record is too broken: logging would write a traceback instead."""

    def format(self, record: logging.LogRecord) -> str:
        if record.args and not isinstance(record.msg, dict):
            record = _with_message(record)
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001  a message whose __str__ raises
            message = record.msg.get("event") if isinstance(record.msg, dict) else record.msg
            said = message if isinstance(message, str) else type(message).__name__
            reason = f"a line that cannot be written ({type(error).__name__}): {said}"
            kept = dict(record.__dict__)
            for name in "_logger", "_name":
                # What structlog added: its event was too broken.
                kept.pop(name, None)
            try:
                return super().format(logging.makeLogRecord({**kept, "msg": reason, "args": ()}))
            except Exception:  # noqa: BLE001  a field is as broken
                kept = {name: kept[name] for name in ("name", "levelname", "levelno")}
                return super().format(logging.makeLogRecord({**kept, "msg": reason}))


def _with_message(record: logging.LogRecord) -> logging.LogRecord:
    """``log.exception("%d", "x")``: arguments that do not fit cost neither exception nor extra."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001  whatever the arguments' own code raises
        copied = logging.makeLogRecord(record.__dict__)
        copied.args = ()
        arguments = list(record.args) if isinstance(record.args, tuple) else [record.args]
        name = "arguments"
        while name in copied.__dict__:
            name += "_"
        copied.__dict__[name] = arguments
        return copied
    copied = logging.makeLogRecord(record.__dict__)
    copied.msg, copied.args = message, ()
    return copied


def formatter() -> logging.Formatter:
    """Turns a record of anybody's into the text of a line."""
    last: list[Processor] = [processors.to_json]
    if LOG_FORMAT.read() == "console":
        colors = False
        with suppress(AttributeError, ValueError):  # none, somebody's own, or a closed one
            colors = sys.stderr.isatty()
        last = [
            processors.exception_as_text,
            structlog.dev.ConsoleRenderer(colors=colors, event_key="message"),
        ]
    return LineFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            processors.add_exception,
            processors.mask_secrets,
            processors.in_order,
            *last,
        ],
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A structlog logger over Python's logging: ``get_logger(__name__).info("saved", rows=3)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
