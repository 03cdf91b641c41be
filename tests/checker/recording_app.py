"""The service with a durable listener that notes what it is given, and copies of it that are broken on purpose."""

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from litestar import Litestar
from sqlalchemy import insert

from app.application import create_app as create_service
from app.redis.timelines import RedisTimelines
from app.timeline import MemoryTimelines
from app.unit_of_work import SqlUnitOfWork
from events.relay import DurableListener
from events.types import PostEvent
from models import Post, StoredEvent


async def note(events: Sequence[PostEvent]) -> None:
    lines = "".join(f"{event.user_id} {event.version}\n" for event in events)
    # One write to a file that is opened for appending: processes that do so at the same time do not mix their lines.
    descriptor = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, lines.encode())
    finally:
        os.close(descriptor)


def create_app() -> Litestar:
    return create_service(durable_listeners=[DurableListener("notes", note)])


def create_app_without_invalidation() -> Litestar:
    """Break it: nobody who remembers a version hears that there is a newer one."""

    async def ignore(self: MemoryTimelines, event: PostEvent) -> None:
        """Do nothing."""

    def announce_nothing(self: RedisTimelines, user_ids: Collection[UUID]) -> AbstractContextManager[None]:
        return nullcontext()

    MemoryTimelines.on_post_event = ignore  # type: ignore[method-assign]
    RedisTimelines.changing = announce_nothing  # type: ignore[method-assign, assignment]
    return create_app()


def create_app_with_late_events() -> Litestar:
    """Break it: a change's event is stored by a transaction of its own, a little after the change's."""
    commit = SqlUnitOfWork._commit_and_publish

    async def insert_posts(self: SqlUnitOfWork) -> None:
        rows = self.posts.take_added()
        if rows:
            await (await self._session.connection()).execute(insert(Post), rows)

    async def commit_first(self: SqlUnitOfWork) -> None:
        late = [StoredEvent.values_of(event) for event in self._events if isinstance(event, PostEvent)]
        await commit(self)
        await asyncio.sleep(0.02)
        if late:
            await (await self._session.connection()).execute(insert(StoredEvent), late)
            await self._session.commit()

    SqlUnitOfWork._insert = insert_posts  # type: ignore[method-assign]
    SqlUnitOfWork._commit_and_publish = commit_first  # type: ignore[method-assign]
    return create_app()
