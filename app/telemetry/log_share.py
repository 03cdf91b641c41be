"""Each client's fair share of the log, so that one can't fill the disk, or hide what happens to all others."""

import logging
import time
from collections import Counter
from threading import RLock, Timer

from typing_extensions import override

from app.telemetry.request_context import current_request

logger = logging.getLogger(__name__)

_WINDOW_SECONDS = 60
_MAX_CLIENTS = 10_000


class LogShare(logging.Filter):
    """Lets at most `per_minute` lines of one client through, and as many of its warnings and errors.

    A client is an account, or before log-in a client address. Lines beyond the share are counted in `suppressed`, and
    at the end of the minute one line says how many there were. With 0, all pass.
    """

    def __init__(self, per_minute: int) -> None:
        super().__init__()
        self._per_minute = per_minute
        self._lines: Counter[tuple[str, bool]] = Counter()
        self._window_ends = 0.0
        self._in_window = 0
        # The timer calls from a thread of its own.
        self._lock = RLock()
        self.suppressed = 0

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        request = current_request.get()
        if request is None or not self._per_minute:
            return True
        with self._lock:
            now = time.monotonic()
            if now >= self._window_ends:
                self._lines.clear()
                self._window_ends = now + _WINDOW_SECONDS
            key = (request.client, record.levelno >= logging.WARNING)
            if key not in self._lines and len(self._lines) >= _MAX_CLIENTS:
                # The rest share one share, so that memory is bounded.
                key = ("", key[1])
            self._lines[key] += 1
            if self._lines[key] <= self._per_minute:
                return True
            self.suppressed += 1
            self._in_window += 1
            if self._in_window == 1:
                timer = Timer(self._window_ends - now, self.summarise)
                timer.daemon = True
                timer.start()
            return False

    def summarise(self) -> None:
        """Log how many lines were suppressed since the last summary, if any."""
        with self._lock:
            count, self._in_window = self._in_window, 0
        if count:
            logger.warning(
                "%d lines of clients with more than ACCESS_LOG_LINES_PER_MINUTE=%d were not logged",
                count,
                self._per_minute,
            )
