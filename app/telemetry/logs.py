"""The log: every line in one format, from libraries too."""

import logging.config
import os
import re
import sys
import threading
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger
from typing_extensions import override

from app.telemetry.log_share import LogShare
from app.telemetry.log_writer import BackgroundHandler, writer
from app.telemetry.request_context import current_request
from app.telemetry.tracebacks import format_traceback

logger = logging.getLogger(__name__)

_STANDARD_ERROR = 2
_LEVELS = {
    "alembic": "WARNING",
    "asyncmy": "ERROR",
    # A broken connection can't be reset either, and the code that used it has reported that.
    "sqlalchemy.pool": "CRITICAL",
}
# In the traceback of a failed start, which Litestar hands the server as text.
_CONFIGURATION_ERROR = re.compile(r"^[ |]*app\.errors\.ConfigurationError: (.+)$", re.MULTILINE)


class _StartErrors(logging.Filter):
    """Logs why the service can't start in one line, as `litestar run` does, whichever server starts it."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        found = _CONFIGURATION_ERROR.search(record.getMessage())
        if found is not None:
            record.msg, record.args = f"postline: {found[1]}", None
        return True


class Log:
    """The log of this process. It counts the lines that it lacks."""

    def __init__(self, share: LogShare) -> None:
        self._share = share

    @property
    def dropped(self) -> int:
        """How many lines could not be written: their reader is too slow or has gone, or the disk is full."""
        return writer.dropped

    @property
    def suppressed(self) -> int:
        """How many lines were beyond their client's share."""
        return self._share.suppressed

    async def close(self) -> None:
        """Log the summary of suppressed lines, and from now on wait until each line is written."""
        self._share.summarise()
        writer.finish()


def configure_logging(*, as_json: bool, lines_per_minute: int = 0) -> Log:
    """Log to the standard error stream: JSON, one object a line, or text for people.

    Each line has the fields of the request during which it was written. One client's requests may write so many lines a
    minute; 0 is no limit.
    """
    share = LogShare(lines_per_minute)
    renderers: list[Processor] = (
        [structlog.processors.ExceptionRenderer(format_traceback), structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_traceback)]
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
            "filters": {"share": {"()": lambda: share}, "start errors": {"()": _StartErrors}},
            "handlers": {"line": {"()": BackgroundHandler, "formatter": "line", "filters": ["share"]}},
            "loggers": {
                **{name: {"level": level} for name, level in _LEVELS.items()},
                # Uvicorn's lines are formatted as all others. Its own access log is off, because it shows paths.
                "uvicorn": {"level": "INFO", "handlers": [], "propagate": True},
                "uvicorn.error": {"level": "INFO", "handlers": [], "propagate": True, "filters": ["start errors"]},
                "uvicorn.access": {"level": "INFO", "handlers": [], "propagate": False},
            },
            "root": {"level": "INFO", "handlers": ["line"]},
        }
    )
    logging.captureWarnings(as_json)
    return Log(share)


def open_standard_streams() -> None:
    """Open those that are closed: a file or a connection would get their numbers, and with them what is printed."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(opened)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for the life of the process


def log_uncaught_exceptions() -> None:
    """Log exceptions that nothing handles, like all else, instead of printing them."""
    sys.excepthook = lambda kind, error, _: _log_uncaught(kind, error)
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value)
    sys.unraisablehook = lambda args: _log_uncaught(args.exc_type, args.exc_value)


def _log_uncaught(kind: type[BaseException], error: BaseException | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        logger.critical("an exception was not handled", exc_info=error or kind())


def _write_traceback(line: TextIO, exc_info: ExcInfo) -> None:
    line.write("\n" + format_traceback(exc_info))


def _add_request(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    request = current_request.get()
    if request is not None:
        line.update(request.fields())
    return line
