"""The service with a durable listener that notes what it is given, and copies of it that are broken on purpose."""

import asyncio
import os
from collections.abc import Sequence
from uuid import UUID

from litestar import Litestar
from sqlalchemy import insert

from app.application import create_app as create_service
from app.storage.unit_of_work import SqlUnitOfWork
from app.timelines.database import DatabaseTimelines
from app.timelines.memory import MemoryTimelines
from events.relay import DurableListener
from events.types import Event, PostEvent
from models import StoredEvent


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
    """Break it: once a version is known, nobody hears that there is a newer one."""
    known: dict[UUID, int] = {}
    read = DatabaseTimelines.version

    async def ignore(self: MemoryTimelines, event: PostEvent) -> None:
        """Do nothing."""

    async def answer_from_memory(self: DatabaseTimelines, user_id: UUID, session_id: UUID) -> int | None:
        version = await read(self, user_id, session_id)
        return None if version is None else known.setdefault(user_id, version)

    MemoryTimelines.on_post_event = ignore  # type: ignore[method-assign]
    DatabaseTimelines.version = answer_from_memory  # type: ignore[method-assign]
    return create_app()


def create_app_with_late_events() -> Litestar:
    """Break it: a change's event is stored by a transaction of its own, a little after the change's."""
    commit = SqlUnitOfWork._commit_and_publish

    async def commit_first(self: SqlUnitOfWork, events: Sequence[Event]) -> None:
        late = [StoredEvent.values_of(event) for event in events if isinstance(event, PostEvent)]
        without = [event for event in events if not isinstance(event, PostEvent)]
        await commit(self, without)
        await asyncio.sleep(0.02)
        if late:
            await (await self._session.connection()).execute(insert(StoredEvent), late)
            await self._session.commit()
        for event in events:
            if isinstance(event, PostEvent):
                await self._bus.publish(event)

    SqlUnitOfWork._commit_and_publish = commit_first  # type: ignore[method-assign]
    return create_app()
