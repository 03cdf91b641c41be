"""Writes the log in a thread of its own, so that the service never waits for whatever reads the log."""

import logging
import os
import select
from collections import deque
from threading import Condition, Thread
from time import monotonic
from typing import TextIO

from typing_extensions import override

_MAX_PENDING_CHARACTERS = 4 * 1024 * 1024
_MAX_WRITE_CHARACTERS = 64 * 1024
_FLUSH_SECONDS = 2.0


class LogWriter:
    """Writes lines to files, in order. Lines that can't be written are dropped, and counted in `dropped`."""

    def __init__(self) -> None:
        self.dropped = 0
        self._pending: deque[tuple[TextIO, str]] = deque()
        self._size = 0
        self._taken = 0
        self._done = 0
        # A reentrant lock: a signal handler may log while its own thread holds it.
        self._changed = Condition()
        self._thread: Thread | None = None
        self._torn = False
        self._patient_until = 0.0

    def write(self, stream: TextIO, line: str) -> None:
        """Let a line be written. This does not wait: it is dropped if 4 MiB of other lines wait already."""
        with self._changed:
            if self._size + len(line) > _MAX_PENDING_CHARACTERS:
                self.dropped += 1
                return
            self._pending.append((stream, line))
            self._size += len(line)
            self._taken += 1
            if self._thread is None:
                # A daemon, because a process must end although its last write does not.
                self._thread = Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if (left := self._patient_until - monotonic()) > 0:
                self.flush(left)

    def finish(self) -> None:
        """For two seconds, wait for each line: the process ends, perhaps by a signal, which flushes nothing."""
        self._patient_until = monotonic() + _FLUSH_SECONDS

    def flush(self, timeout: float = _FLUSH_SECONDS) -> None:
        """Wait until the lines so far are written or dropped."""
        with self._changed:
            taken = self._taken
            self._changed.wait_for(lambda: self._done >= taken, timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending)
                stream, lines = self._next()
            lost = self._write(stream, lines)
            with self._changed:
                self.dropped += lost
                self._size -= sum(map(len, lines))
                self._done += len(lines)
                self._changed.notify_all()

    def _next(self) -> tuple[TextIO, list[str]]:
        """Take the oldest lines for one stream. One write for many costs less than a write for each."""
        stream, first = self._pending.popleft()
        lines, size = [first], len(first)
        while self._pending and self._pending[0][0] is stream and size < _MAX_WRITE_CHARACTERS:
            lines.append(self._pending.popleft()[1])
            size += len(lines[-1])
        return stream, lines

    def _write(self, stream: TextIO, lines: list[str]) -> int:
        """Write lines, and return how many could not be written."""
        # After a line that is only half written, the next one must still begin a line.
        rest = ("\n" * self._torn + "".join(lines)).encode(errors="backslashreplace")
        try:
            # Past the stream's own buffer: who closes or flushes the stream would wait for a write that is stuck in it.
            while rest:
                rest = rest[_write_some(stream.fileno(), rest) :]
                self._torn = bool(rest)
        except (OSError, ValueError):
            # The disk is full, the reader has gone, or the stream was closed.
            return min(len(lines), rest.count(b"\n"))
        return 0


class BackgroundHandler(logging.StreamHandler[TextIO]):
    """Logs to a stream through the writer. A stream without a file, which nothing delays, is written to at once."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._has_file = _has_file(self.stream)

    @override
    def setStream(self, stream: TextIO) -> TextIO | None:
        before = super().setStream(stream)
        self._has_file = _has_file(stream)
        return before

    @override
    def emit(self, record: logging.LogRecord) -> None:
        # A process that was started without a standard error stream has none to complain to either.
        if self.stream is None:
            return
        if not self._has_file:
            super().emit(record)
            return
        try:
            line = self.format(record) + self.terminator
        except Exception:  # noqa: BLE001 - as with every handler: to log never raises
            self.handleError(record)
        else:
            writer.write(self.stream, line)

    @override
    def flush(self) -> None:
        """Wait until what was logged is written, but no longer than two seconds."""
        if self._has_file:
            writer.flush()
        elif self.stream is not None:
            super().flush()


writer = LogWriter()
"""The only one of the process, so that the lines of all handlers are written in order."""


def _has_file(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() >= 0
    except (OSError, ValueError):
        return False


def _write_some(file: int, data: bytes) -> int:
    while True:
        try:
            return os.write(file, data)
        except BlockingIOError:
            # Another process that shares the file made it non-blocking.
            poll = select.poll()
            poll.register(file, select.POLLOUT)
            poll.poll()
