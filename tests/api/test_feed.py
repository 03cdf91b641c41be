"""Where a feed may be asked to go on."""

import pytest

from tests.api.people import Person, assert_problem


@pytest.mark.parametrize("number", ["", "-1", "1e2", "1.0", "null", "9223372036854775808", "x"])
async def test_a_place_that_is_no_version_is_refused(ada: Person, number: str) -> None:
    assert_problem(await ada.get("/posts/events", params={"after": number}), 400, "after")
    assert_problem(await ada.get("/posts/events", headers={"last-event-id": number}), 400, "Last-Event-ID")
