"""Domain events as they are stored."""

import msgspec
import pytest
from uuid_utils.compat import uuid7

from events import types as events
from models.columns import now


@pytest.mark.parametrize("event_type", [events.PostCreatedEvent, events.PostUpdatedEvent, events.PostDeletedEvent])
def test_an_event_is_the_same_after_it_was_stored(
    event_type: type[events.PostCreatedEvent | events.PostUpdatedEvent | events.PostDeletedEvent],
) -> None:
    event = event_type(user_id=uuid7(), version=17, post_id=uuid7(), occurred_at=now())

    assert events.decode(events.encode(event)) == event


def test_the_stored_form_names_its_type() -> None:
    event = events.PostCreatedEvent(user_id=uuid7(), version=1, post_id=uuid7(), occurred_at=now())

    assert msgspec.json.decode(events.encode(event))["type"] == event.type == "post.created"


def test_a_payload_of_an_unknown_type_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError):
        events.decode(b'{"type": "post.painted"}')
