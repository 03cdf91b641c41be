"""The promises under faults, in every size; and that the checker would notice if they were broken.

`CHECK_SECONDS` says how long each check runs, `CHECK_SEED` in which order things break; `make soak` runs long ones.
"""

import os
import random
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.checker.deployment import SIZES, Deployment, deployed
from tests.checker.history import violations
from tests.checker.people import Someone

SECONDS = float(os.environ.get("CHECK_SECONDS", "10"))
SEED = int(os.environ.get("CHECK_SEED", "0"))
PEOPLE = 3
CATCH_UP_SECONDS = 60


def check(deployment: Deployment, seconds: float, *, catch_up: float = CATCH_UP_SECONDS) -> dict[str, list[str]]:
    """Let people use the deployment while it is broken again and again, and return whose notes show what violation."""
    people = [Someone(deployment.url, f"person{n}", SEED + n) for n in range(PEOPLE)]
    with ExitStack() as stack:
        for someone in people:
            stack.enter_context(someone)
        _break(deployment, seconds, people)
        for someone in people:
            someone.finish(catch_up)
    deadline = time.monotonic() + catch_up
    while time.monotonic() < deadline:
        notes = deployment.notes()
        if all(len(set(notes[someone.user_id])) >= someone.history.final.version for someone in people):
            break
        time.sleep(0.2)
    for someone in people:
        someone.history.delivered = deployment.notes()[someone.user_id]
    assert all(map(_has_written, people))
    return {someone.client.email: violations(someone.history) for someone in people}


def _break(deployment: Deployment, seconds: float, people: list[Someone]) -> None:
    chooser = random.Random(SEED)  # noqa: S311
    began, faults = time.monotonic(), list(deployment.faults)
    # Longer where the machine is too slow for anybody to have done much.
    while (lasted := time.monotonic() - began) < seconds or (
        lasted < 6 * seconds and not all(map(_has_written, people))
    ):
        time.sleep(chooser.uniform(0.5, 2))
        # Each once, and then any of them.
        fault = faults.pop(0) if faults else chooser.choice(list(deployment.faults))
        deployment.faults[fault]()


def _has_written(someone: Someone) -> bool:
    return len(someone.history.writes) > 5


@pytest.mark.parametrize("size", SIZES)
def test_the_promises_hold_while_everything_breaks(size: str, tmp_path: Path) -> None:
    with deployed(size, tmp_path) as deployment:
        found = check(deployment, SECONDS)

        assert not any(found.values()), found
        said = deployment.output()
        assert "Traceback" not in said, said[said.find("Traceback") - 500 :][:5000]


# Redis is believed only after some seconds.
@pytest.mark.parametrize(("size", "seconds"), [("SQLite x 1", 4), ("MariaDB + Redis x 4", 10)])
def test_the_checker_notices_a_service_that_forgets_to_invalidate(size: str, seconds: float, tmp_path: Path) -> None:
    with deployed(size, tmp_path, app="create_app_without_invalidation") as deployment:
        found = [each for each_ones in check(deployment, seconds, catch_up=1).values() for each in each_ones]

    assert any(violation.startswith("the list at") for violation in found), found


def test_the_checker_notices_a_service_that_stores_events_too_late(tmp_path: Path) -> None:
    with deployed("SQLite x 1", tmp_path, app="create_app_with_late_events") as deployment:
        found = [each for each_ones in check(deployment, 8, catch_up=1).values() for each in each_ones]

    assert any("the feed" in violation for violation in found), found
