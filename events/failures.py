"""What a loop logs when it fails: once, and not again each time that it tries."""

import logging
from collections.abc import Callable
from time import monotonic

_REMIND_SECONDS = 60


class RepeatedFailure:
    """Logs the failures of work that is tried again and again.

    Each kind of failure is logged when it comes first; those that only repeat are counted, and logged at most once a
    minute. The first success ends the matter, and is logged too.
    """

    def __init__(
        self,
        logger: logging.Logger,
        what: str,
        *,
        then: str = "will be tried again",
        level: int = logging.WARNING,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Take what the work is called, as the subject of a sentence, and what becomes of it."""
        self._logger = logger
        self._what = what
        self._then = then
        self._level = level
        self._clock = clock
        self._kinds: set[str] = set()
        self._repeated = 0
        self._logged_at = 0.0

    def failed(self, error: BaseException) -> None:
        """Note a failure. Only its type is logged: a message may quote data."""
        kind = type(error).__name__
        if kind not in self._kinds:
            self._kinds.add(kind)
            self._logger.log(self._level, "%s failed and %s: %s", self._what, self._then, kind)
            self._logged_at = self._clock()
            return
        self._repeated += 1
        if self._clock() - self._logged_at >= _REMIND_SECONDS:
            self._logger.log(self._level, "%s failed %d times more: %s", self._what, self._repeated, kind)
            self._logged_at, self._repeated = self._clock(), 0

    def succeeded(self) -> None:
        """Note a success."""
        if self._kinds:
            self._logger.info("%s works again", self._what)
            self._kinds.clear()
            self._repeated = 0
