"""The supervisor's own log: facts as JSON lines in `logs/supervisor.log`, apart from what the embedding program prints."""

from typing import TextIO

import structlog


def journal(file: TextIO) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that writes to an open file and leaves the process's own configuration alone."""
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(sort_keys=True),
    ]
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(file),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=False,
    )
    return logger
