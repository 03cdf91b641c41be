"""What is logged of failures that repeat."""

import logging

import pytest

from events.failures import RepeatedFailure

logger = logging.getLogger(__name__)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failure(clock: Clock, caplog: pytest.LogCaptureFixture) -> RepeatedFailure:
    caplog.set_level(logging.INFO)
    return RepeatedFailure(logger, "polling", clock=clock)


def test_a_failure_that_repeats_is_logged_once(failure: RepeatedFailure, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        failure.failed(OSError("of ada@example.com"))

    assert caplog.messages == ["polling failed and will be tried again: OSError"]


def test_each_kind_of_failure_is_logged_once_however_they_alternate(
    failure: RepeatedFailure, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        failure.failed(OSError())
        failure.failed(TimeoutError())

    assert caplog.messages == [
        f"polling failed and will be tried again: {kind}" for kind in ("OSError", "TimeoutError")
    ]


def test_one_that_lasts_is_counted_once_a_minute(
    failure: RepeatedFailure, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5 * 60 * 2 + 1):
        failure.failed(OSError())
        clock.now += 0.5

    assert caplog.messages[1:] == ["polling failed 120 times more: OSError"] * 5


def test_the_end_of_a_failure_is_logged_and_the_next_one_is_new(
    failure: RepeatedFailure, caplog: pytest.LogCaptureFixture
) -> None:
    for error in (OSError(), None, None, OSError()):
        if error is None:
            failure.succeeded()
        else:
            failure.failed(error)

    assert caplog.messages == [
        "polling failed and will be tried again: OSError",
        "polling works again",
        "polling failed and will be tried again: OSError",
    ]
