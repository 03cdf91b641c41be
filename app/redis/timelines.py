"""The adapter of `app.timeline.Timelines` for a Redis that all nodes share."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import msgspec

from app.redis.link import RedisLink, RedisUnavailable
from app.redis.trust import Trust
from app.timeline import TimelineState
from models.columns import now

_STATE, _TICKET, _CHANGE = b"s", b"t", b"c"

_STATE_LIFETIME = 60_000
_TICKET_LIFETIME = 5_000
_CHANGE_LIFETIME = 60_000

_decoder = msgspec.msgpack.Decoder(TimelineState)


class RedisTimelines:
    """The answer from Redis, or else from the database.

    A user's key holds one of three things. A *state* is what the database said. A *ticket* is the right to store one:
    who found nothing leaves it before asking the database, and stores the state only if the ticket is still there. A
    *change* stands there from before a commit until after it, and for a minute where nobody can say whether there was
    one: meanwhile everyone asks the database. As each change removes state and ticket alike, a state that was read
    before it can never be found after it, and an older version never takes the place of a newer one. That Redis may be
    believed at all is for `Trust` to say.
    """

    def __init__(
        self,
        link: RedisLink,
        trust: Trust,
        read: Callable[[UUID, UUID], Awaitable[int | None]],
        load: Callable[[UUID], Awaitable[TimelineState | None]],
    ) -> None:
        self._link = link
        self._trust = trust
        self._read = read
        self._load = load

    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        """See `Timelines.version`."""
        epoch = self._trust.readable
        if epoch is None:
            return await self._read(user_id, session_id)
        key = _key(epoch, user_id)
        try:
            found = await self._link.get(key)
            if found is None:
                return await self._version_of_loaded(key, user_id, session_id)
        except RedisUnavailable:
            return await self._read(user_id, session_id)
        if not found.startswith(_STATE):
            return await self._read(user_id, session_id)
        return _version(_decoder.decode(found[1:]), session_id)

    @asynccontextmanager
    async def changing(self, user_ids: Collection[UUID]) -> AsyncIterator[None]:
        """See `Timelines.changing`."""
        if not user_ids:
            yield
            return
        change = _CHANGE + uuid4().bytes
        await self._on_keys(user_ids, lambda keys: self._link.set(keys, change, _CHANGE_LIFETIME))
        # In both cases the epoch may be another one than before, in which somebody may have cached what was before it.
        try:
            yield
        except BaseException:
            # A commit that was not answered may have happened, or happen yet.
            await self._on_keys(user_ids, lambda keys: self._link.set(keys, change, _CHANGE_LIFETIME))
            raise
        await self._on_keys(user_ids, lambda keys: self._link.remove(keys, own=change, kind=_CHANGE))
        await self._trust.settle()

    async def _on_keys(self, user_ids: Collection[UUID], command: Callable[[list[str]], Awaitable[None]]) -> None:
        """Give a command for the users' keys; where Redis does not take it, see to it that nobody believes Redis."""
        epoch = await self._trust.writable()
        if epoch is None:
            return
        try:
            await command([_key(epoch, user_id) for user_id in user_ids])
        except RedisUnavailable:
            await self._trust.end(epoch)

    async def _version_of_loaded(self, key: str, user_id: UUID, session_id: UUID) -> int | None:
        ticket = _TICKET + uuid4().bytes
        if not await self._link.add(key, ticket, _TICKET_LIFETIME):
            return await self._read(user_id, session_id)
        state = await self._load(user_id)
        if state is None:
            return None
        await self._link.replace(key, ticket, _STATE + msgspec.msgpack.encode(state), _STATE_LIFETIME)
        return _version(state, session_id)


def _key(epoch: int, user_id: UUID) -> str:
    return f"{epoch}:{user_id.hex}"


def _version(state: TimelineState, session_id: UUID) -> int | None:
    expires_at = state.sessions.get(session_id)
    return None if expires_at is None or expires_at <= now() else state.version
