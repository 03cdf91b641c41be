"""The in-process event bus."""

import logging
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from events.bus import EventBus
from events.types import PostCreatedEvent, PostDeletedEvent, PostEvent, SessionsChanged
from models.columns import now


def a_created_post() -> PostCreatedEvent:
    return PostCreatedEvent(user_id=uuid7(), version=1, post_id=uuid7(), occurred_at=now())


async def test_a_listener_hears_events_of_its_class_and_no_others() -> None:
    bus, heard = EventBus(), list[Any]()

    async def listen(event: PostCreatedEvent) -> None:
        heard.append(event)

    bus.subscribe(PostCreatedEvent, listen)
    created = a_created_post()
    await bus.publish(created)
    await bus.publish(PostDeletedEvent(user_id=created.user_id, version=2, post_id=created.post_id, occurred_at=now()))
    await bus.publish(SessionsChanged(user_id=created.user_id))

    assert heard == [created]


async def test_a_listener_to_a_base_class_hears_every_derived_event() -> None:
    bus, heard = EventBus(), list[UUID]()

    async def listen(event: PostEvent) -> None:
        heard.append(event.post_id)

    bus.subscribe(PostEvent, listen)
    created = a_created_post()
    await bus.publish(created)

    assert heard == [created.post_id]


async def test_listeners_of_one_class_run_in_the_order_they_subscribed_and_are_done_when_publish_returns() -> None:
    bus, heard = EventBus(), list[str]()

    async def first(_: PostEvent) -> None:
        heard.append("first begins")
        heard.append("first ends")

    async def second(_: PostEvent) -> None:
        heard.append("second")

    bus.subscribe(PostEvent, first)
    bus.subscribe(PostEvent, second)
    await bus.publish(a_created_post())

    assert heard == ["first begins", "first ends", "second"]


async def test_a_failing_listener_breaks_neither_the_others_nor_the_publisher(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, heard = EventBus(), list[Any]()

    async def fail(_: PostEvent) -> None:
        raise RuntimeError("listener is broken")

    async def listen(event: PostEvent) -> None:
        heard.append(event)

    bus.subscribe(PostEvent, fail)
    bus.subscribe(PostEvent, listen)
    with caplog.at_level(logging.ERROR):
        await bus.publish(a_created_post())

    assert len(heard) == 1
    assert "failed on PostCreated" in caplog.text


async def test_an_event_that_nobody_listens_to_is_no_error() -> None:
    await EventBus().publish(a_created_post())
