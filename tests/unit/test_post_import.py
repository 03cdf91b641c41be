"""The ids of imported posts: derived, of the time when the post was written, and different for each account."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from models import PostImport

TIMES = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2026, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def post(post_id: UUID, at: datetime) -> PostImport:
    return PostImport(postID=post_id, text="hello", created_at=at, updated_at=at, version=1)


@given(owner_id=st.uuids(), post_id=st.uuids(), at=TIMES)
def test_an_id_is_a_uuid7_of_the_time_when_the_post_was_written(owner_id: UUID, post_id: UUID, at: datetime) -> None:
    derived = post(post_id, at).id_for(owner_id)

    assert (derived.version, derived.variant) == (7, "specified in RFC 4122")
    assert derived.int >> 80 == int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 + 1e-6)


@given(owner_ids=st.lists(st.uuids(), min_size=2, max_size=2, unique=True), post_id=st.uuids(), at=TIMES)
def test_an_id_is_the_same_each_time_and_another_for_another_account(
    owner_ids: list[UUID], post_id: UUID, at: datetime
) -> None:
    ada, bob = owner_ids

    assert post(post_id, at).id_for(ada) == post(post_id, at).id_for(ada) != post(post_id, at).id_for(bob)
