"""The log's writer: it never makes anyone wait, and counts what it can't write."""

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from app.telemetry import log_share, log_writer
from app.telemetry.log_share import LogShare
from app.telemetry.log_writer import BackgroundHandler, LogWriter
from app.telemetry.request_context import RequestContext, current_request


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe: the file that is read from, and the stream that is written to."""
    reading, writing = os.pipe()
    with open(writing, "w") as stream:  # noqa: PTH123 - a file descriptor
        yield reading, stream
        os.close(reading)


def test_lines_are_written_in_order(tmp_path: Path) -> None:
    writer = LogWriter()
    with (tmp_path / "log").open("w") as stream:
        for number in range(10_000):
            writer.write(stream, f"{number}\n")
        writer.flush()

    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(10_000)]
    assert writer.dropped == 0


def test_a_pipe_that_nobody_reads_delays_nobody_and_the_excess_is_counted(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    writer = LogWriter()
    line = "x" * 1023 + "\n"

    for _ in range(10_000):
        writer.write(stream, line)

    # What waits is bounded: 4 MiB.
    assert 5_800 <= writer.dropped < 6_000
    received = 0
    while received < (10_000 - writer.dropped) * 1024:
        received += len(os.read(reading, 1 << 20))
    writer.flush()
    before = writer.dropped
    writer.write(stream, line)
    assert os.read(reading, 4096) == line.encode()
    assert writer.dropped == before


def test_a_flush_of_a_pipe_that_nobody_reads_ends(pipe: tuple[int, TextIO]) -> None:
    _, stream = pipe
    writer = LogWriter()
    for _ in range(100):
        writer.write(stream, "x" * 10_000 + "\n")

    writer.flush(timeout=0.01)


def test_what_is_written_to_a_full_disk_is_counted() -> None:
    writer = LogWriter()
    with open("/dev/full", "w") as stream:  # noqa: PTH123 - a device
        for _ in range(10):
            writer.write(stream, "lost\n")
        writer.flush()

    assert writer.dropped == 10


def test_what_nobody_can_read_any_more_is_counted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LogWriter()
    with open(writing, "w") as stream:  # noqa: PTH123 - a file descriptor
        writer.write(stream, "lost\n")
        writer.flush()

    assert writer.dropped == 1


def test_a_closed_stream_is_not_written_to_although_its_number_is_used_again(tmp_path: Path) -> None:
    writer = LogWriter()
    stream = (tmp_path / "log").open("w")
    stream.close()
    with (tmp_path / "database").open("w"):
        writer.write(stream, "lost\n")
        writer.flush()

    assert (tmp_path / "database").read_text() == ""
    assert writer.dropped == 1


def test_a_pipe_that_somebody_made_non_blocking_gets_every_line(pipe: tuple[int, TextIO]) -> None:
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = LogWriter()
    sent = b"".join(b"%d\n" % number for number in range(100_000))

    for line in sent.splitlines(keepends=True):
        writer.write(stream, line.decode())

    received = b""
    while len(received) < len(sent):
        received += os.read(reading, 1 << 20)
    assert received == sent
    assert writer.dropped == 0


def test_a_text_that_is_not_unicode_does_not_end_the_writer(tmp_path: Path) -> None:
    writer = LogWriter()
    with (tmp_path / "log").open("w") as stream:
        writer.write(stream, "a lone surrogate: \ud800\n")
        writer.write(stream, "the next\n")
        writer.flush()

    assert (tmp_path / "log").read_text() == "a lone surrogate: \\ud800\nthe next\n"


def test_a_process_without_standard_error_logs_to_nowhere() -> None:
    handler = BackgroundHandler()
    handler.stream = None  # type: ignore[assignment] # pyright: ignore[reportAttributeAccessIssue] - as Python has it
    handler._has_file = False

    handler.emit(logging.makeLogRecord({"msg": "hello"}))
    handler.flush()


def test_the_last_lines_are_waited_for(tmp_path: Path) -> None:
    writer = LogWriter()
    with (tmp_path / "log").open("w") as stream:
        writer.finish()
        writer.write(stream, "the last\n")

        assert (tmp_path / "log").read_text() == "the last\n"


class TestShares:
    @pytest.fixture
    def share(self, monkeypatch: pytest.MonkeyPatch) -> LogShare:
        monkeypatch.setattr(log_share, "_MAX_CLIENTS", 3)
        # Summaries come when a test asks for them.
        monkeypatch.setattr(log_share, "Timer", lambda *_: threading.Thread(target=lambda: None))
        return LogShare(per_minute=2)

    @staticmethod
    def passed(share: LogShare, lines: int, address: str, level: int = logging.INFO) -> int:
        """Log so many lines during requests of a client, and return how many the share let through."""
        scope = {"type": "http", "headers": [], "client": (address, 1)}
        token = current_request.set(RequestContext(scope))  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        try:
            return sum(share.filter(logging.makeLogRecord({"levelno": level})) for _ in range(lines))
        finally:
            current_request.reset(token)

    def test_one_client_has_its_share_and_takes_none_of_another(self, share: LogShare) -> None:
        assert self.passed(share, 5, "192.0.2.1") == 2
        assert self.passed(share, 1, "192.0.2.2") == 1
        assert share.suppressed == 3

    def test_many_lines_do_not_hide_a_clients_errors(self, share: LogShare) -> None:
        self.passed(share, 5, "192.0.2.1")

        assert self.passed(share, 5, "192.0.2.1", logging.ERROR) == 2

    def test_many_addresses_of_one_ipv6_customer_are_one_client(self, share: LogShare) -> None:
        assert sum(self.passed(share, 1, f"2001:db8::{number}") for number in range(1, 10)) == 2

    def test_more_clients_than_are_counted_apart_share_one_share(self, share: LogShare) -> None:
        assert sum(self.passed(share, 1, f"192.0.2.{number}") for number in range(10)) == 3 + 2

    def test_lines_outside_of_requests_all_pass(self, share: LogShare) -> None:
        assert all(share.filter(logging.makeLogRecord({})) for _ in range(10))

    def test_zero_is_no_limit(self) -> None:
        assert self.passed(LogShare(per_minute=0), 5, "192.0.2.1") == 5

    def test_one_line_says_how_many_were_suppressed(self, share: LogShare, caplog: pytest.LogCaptureFixture) -> None:
        self.passed(share, 5, "192.0.2.1")

        share.summarise()
        share.summarise()

        (line,) = caplog.messages
        assert line == "3 lines of clients with more than ACCESS_LOG_LINES_PER_MINUTE=2 were not logged"


class ThreadFormatter(logging.Formatter):
    def format(self, _: logging.LogRecord) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return threading.current_thread().name


def test_the_handler_formats_in_the_thread_that_logs(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        handler = BackgroundHandler(stream)
        handler.setFormatter(ThreadFormatter())
        handler.emit(logging.makeLogRecord({}))
        log_writer.writer.flush()

    assert (tmp_path / "log").read_text().strip() == threading.current_thread().name
