"""The log: every line in one format, from libraries too."""

import logging.config
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from app.telemetry.request_context import current_request

_LEVELS = {
    "alembic": "WARNING",
    "asyncmy": "ERROR",
    # A broken connection can't be reset either, and the code that used it has reported that.
    "sqlalchemy.pool": "CRITICAL",
}


def configure_logging(*, as_json: bool) -> None:
    """Log to the standard error stream: JSON, one object a line, or text for people.

    Each line has the fields of the request during which it was written.
    """
    # Tracebacks without local variables, which may hold passwords and posts.
    renderers: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.add_log_level,
                        structlog.stdlib.add_logger_name,
                        structlog.stdlib.ExtraAdder(["status", "duration"]),
                        structlog.processors.TimeStamper(fmt="iso"),
                        _add_request,
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        *renderers,
                    ],
                }
            },
            "handlers": {"line": {"class": "logging.StreamHandler", "formatter": "line"}},
            "loggers": {
                **{name: {"level": level} for name, level in _LEVELS.items()},
                # Uvicorn's lines are formatted as all others. Its own access log is off, because it shows paths.
                "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
                "uvicorn.access": {"level": "INFO", "handlers": [], "propagate": False},
            },
            "root": {"level": "INFO", "handlers": ["line"]},
        }
    )


def _add_request(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    request = current_request.get()
    if request is not None:
        line.update(request.fields())
    return line
