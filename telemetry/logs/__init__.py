"""Logs: one JSON object a line, for all of Python's logging."""

from telemetry.logs.pipeline import configure, get_logger

__all__ = ["configure", "get_logger"]
