"""For uvicorn's ``--log-config``: every process' lines through our pipeline from the first one on.

uvicorn's supervisor never loads the application, and a worker speaks before it does. A file for
``uvicorn --log-config uvicorn.json`` (or ``UVICORN_LOG_CONFIG``)::

    {
      "version": 1,
      "disable_existing_loggers": false,
      "handlers": {"telemetry": {"()": "telemetry.uvicorn.handler"}}
    }
"""

from __future__ import annotations

import functools
import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from telemetry.logs import pipeline
from telemetry.logs.standard_error import standard_error


def handler() -> logging.Handler:
    """Set up logging as a server has it; returns the handler of the root logger."""
    return pipeline.configure_server()


def at_shutdown(stop: Callable[[], None]) -> None:
    """Call ``stop`` when uvicorn, if it serves this process, has answered its last request.

    It ends itself by the signal that it got, so what Python runs at its exit is not run (seen in
    0.54), and Django's application takes no part in ASGI's lifespan.
    """
    if "uvicorn.server" not in sys.modules:
        return
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGTERM)
    server: Any = getattr(handler, "__self__", None)
    if handler is signal.SIG_DFL:
        # One process alone: it loads the application first, and gives SIGTERM back at its end.
        signal.signal(signal.SIGTERM, functools.partial(_end, stop))
    elif type(server).__module__ == "uvicorn.server":
        # One of several workers: the application is loaded by the server that runs already.
        server.shutdown = functools.partial(_shut_down, server.shutdown, stop)


def _end(stop: Callable[[], None], number: int, _frame: Any) -> None:
    stop()
    standard_error.finish()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


async def _shut_down(shutdown: Any, stop: Callable[[], None], *given: Any, **named: Any) -> None:
    await shutdown(*given, **named)
    stop()
    standard_error.finish()
