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

import logging

from telemetry.logs import pipeline


def handler() -> logging.Handler:
    """Set up logging as a server has it; returns the handler of the root logger."""
    return pipeline.configure_server()
