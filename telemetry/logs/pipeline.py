from typing import Any
import structlog


def configure(_: dict[str, Any]) -> None:
    pass


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A structlog logger over Python's logging: ``get_logger(__name__).info("saved", rows=3)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
