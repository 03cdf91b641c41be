"""Whether what is kept outside the database may be believed: something all processes agree on, through the database."""

import asyncio
import logging
from time import monotonic

from app.redis.epochs import EpochStore
from app.redis.link import RedisLink
from events.waiting import happens

logger = logging.getLogger(__name__)


class Trust:
    """Lets processes believe a cache they share only while every one of them can invalidate what is in it.

    In an even epoch the cache may be believed, in an odd one nobody does. Who can't invalidate something ends the even
    epoch, and is sure that nobody believes the cache any more when a lease has passed: each process reads the epoch
    every `poll` seconds, and what it read holds for `lease` seconds from when it asked, by its own clock. Who sees that
    the cache has answered for `hold` seconds begins the next even epoch, in which nothing is kept yet; it is believed
    when a lease has passed, for by then every writer knows that there is something to invalidate. An even epoch is
    about one server, by its run id: who is led to another one believes nothing, and ends it.
    """

    def __init__(
        self, store: EpochStore, link: RedisLink, *, poll: float = 0.2, lease: float = 1, hold: float = 3
    ) -> None:
        self._store = store
        self._link = link
        self._poll, self._lease, self._hold = poll, lease, hold
        self._stopping = asyncio.Event()
        self._ending = asyncio.Lock()
        self._epoch = -1
        self._changed_at = monotonic()
        self._asked_at = 0.0
        self._known_until = 0.0
        self._answers_since: float | None = None

    @property
    def readable(self) -> int | None:
        """The epoch, if what is cached in it may be believed."""
        now = monotonic()
        if self._epoch % 2 or now >= self._known_until or now < self._changed_at + self._lease:
            return None
        return self._epoch

    async def writable(self) -> int | None:
        """Return the epoch in which changes have to be announced, if there is one."""
        if monotonic() >= self._known_until:
            await self._look()
        return None if self._epoch % 2 else self._epoch

    async def end(self, epoch: int) -> None:
        """End an even epoch, because something in it could not be invalidated."""
        async with self._ending:
            if self._epoch == epoch:
                logger.warning("the shared cache can't be reached, so the database answers in its place")
                self._answers_since = None
                await self._store.advance(epoch)
                await self._look()

    async def settle(self) -> None:
        """Where an even epoch has just ended, wait until nobody can believe what is cached in it."""
        if self._epoch % 2:
            await asyncio.sleep(self._changed_at + self._lease - monotonic())

    async def run(self) -> None:
        """Keep to what all processes agree on, until told to stop."""
        await self._attend()
        while not await happens(self._stopping, within=self._poll):
            await self._attend()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    async def _attend(self) -> None:
        try:
            await self._look()
            server = await self._link.ping()
            if server is None:
                self._answers_since = None
                return
            self._answers_since = self._answers_since or monotonic()
            if self._epoch % 2 == 0:
                if server != self._link.server:
                    await self.end(self._epoch)
            elif monotonic() - max(self._answers_since, self._changed_at) >= self._hold:
                await self._store.advance(self._epoch, server)
                await self._look()
                logger.info("the shared cache is believed")
        except Exception as error:  # noqa: BLE001 - without knowledge the cache is not believed; the next time may go well
            logger.warning("the epoch could not be looked at: %s", type(error).__name__)

    async def _look(self) -> None:
        asked_at = monotonic()
        epoch, server = await self._store.read()
        if asked_at < self._asked_at:
            # Another look began later and was answered sooner: it knows better.
            return
        self._asked_at, self._known_until = asked_at, asked_at + self._lease
        if epoch != self._epoch:
            self._epoch, self._changed_at, self._link.server = epoch, monotonic(), server
