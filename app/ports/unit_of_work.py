"""Units of work: one transaction each, the events of what it changes, and its repositories.

A use case is a function of a unit of work. `Transactions.run` calls it, and calls it again if the transaction lost a
deadlock, so no use case can forget to retry. Nor can it forget its events: each version that a unit of work gives a
timeline must have one, and a use case must end with `commit` or `rollback`. Otherwise `IncompleteUnitOfWork` is raised.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from uuid import UUID

from sqlmodel import SQLModel

from app.errors import Deadlocked
from events.types import Event, PostEvent
from models import IdempotencyKey, Post, Session, User

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Owned = TypeVar("_Owned", bound=SQLModel)

_DEADLOCK_RETRIES = 2


class IncompleteUnitOfWork(Exception):
    """A use case left its unit of work unfinished, or a change without an event. It is an error in the use case."""


class Users(Protocol):
    """Users, within one transaction."""

    async def add(self, user: User) -> None:
        """Insert the user; raise `EmailTaken` if another has the address."""

    async def lock(self, user_id: UUID) -> User:
        """Return the user, locked until the transaction ends; raise `Unauthenticated` if there is none."""
        ...

    async def delete(self, user: User) -> None:
        """Remove a user that was locked before, and all they own.

        Of a user with a long history, the rows that can't be reached without the user are pruned afterwards.
        """

    async def advance_timeline(self, user_id: UUID) -> int:
        """Lock the user's row, increment the timeline's version, and return it.

        Every writer of a timeline calls this first. So the changes of one user queue on this row and commit in the
        order of their versions, and durable listeners find something to deliver from the commit on. Raises
        `Unauthenticated` if there is no such user.
        """
        ...

    async def advance_timelines(self, changes: Mapping[UUID, int]) -> Mapping[UUID, int]:
        """Advance several users' timelines, each by its number of changes, and return their versions.

        Users that don't exist are left out. If there are several, so are those whose row is locked by someone else.
        """
        ...


class Posts(Protocol):
    """Posts, within one transaction."""

    async def add(self, posts: Sequence[Post]) -> None:
        """Insert the posts."""


class Sessions(Protocol):
    """Sessions, within one transaction."""

    async def lock(self, session_id: UUID, at: datetime) -> Session | None:
        """Return the session, locked until the transaction ends, if it is alive at that time."""
        ...

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """Remove the user's session; return whether there was one."""
        ...

    async def end_all(self, user_id: UUID, *, but: UUID | None = None) -> None:
        """Remove the user's sessions, all of them or all but one."""

    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        """Remove the user's sessions except the `keep` most recently used ones."""


class IdempotencyKeys(Protocol):
    """Idempotency keys, within one transaction."""

    async def get(self, user_id: UUID, key: str) -> IdempotencyKey | None:
        """Return what the user's key was used for, unless it has expired."""
        ...

    async def put(self, used: IdempotencyKey) -> None:
        """Store what the key was used for, in place of an expired use."""


class Webhooks(Protocol):
    """Webhooks, within one transaction."""

    async def count(self, owner_id: UUID) -> int:
        """Return how many webhooks the owner has."""
        ...

    async def delete(self, owner_id: UUID, webhook_id: UUID) -> bool:
        """Remove the owner's webhook and its deliveries; return whether there was one."""
        ...

    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        """Queue each event for each of the owner's webhooks that wants it, unless it is queued already."""


class ChangeLog:
    """The versions that a unit of work has given timelines, and the events that it has recorded of them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._without_event: set[tuple[UUID, int]] = set()

    def advance(self, user_id: UUID, version: int, by: int = 1) -> None:
        """Note that the user's timeline was advanced by so many versions, up to this one."""
        self._without_event |= {(user_id, version - offset) for offset in range(by)}

    def record(self, event: Event) -> None:
        """Add an event.

        Raises:
            IncompleteUnitOfWork: It is the event of a change, and the timeline was not advanced to its version.
        """
        if isinstance(event, PostEvent):
            if (event.user_id, event.version) not in self._without_event:
                raise IncompleteUnitOfWork(f"{event.type} is recorded under a version that no change has taken")
            self._without_event.remove((event.user_id, event.version))
        self.events.append(event)

    def is_empty(self) -> bool:
        """Return whether no timeline was advanced and no event recorded."""
        return not self.events and not self._without_event

    def require_events(self) -> None:
        """Raise `IncompleteUnitOfWork` if a timeline was advanced without an event for each version."""
        if self._without_event:
            raise IncompleteUnitOfWork(f"{len(self._without_event)} versions of timelines were taken without an event")


class UnitOfWork(ABC):
    """One transaction, and the events of what it changes.

    `add`, `get` and `delete` serve any model whose rows have an `id` and name their owner in `user_id`; so an entity
    that needs no more has no repository.
    """

    users: Users
    posts: Posts
    sessions: Sessions
    idempotency_keys: IdempotencyKeys
    webhooks: Webhooks

    def __init__(self, changes: ChangeLog) -> None:
        self._changes = changes
        self.is_finished = False

    @abstractmethod
    async def add(self, row: SQLModel) -> None:
        """Insert the row."""

    @abstractmethod
    async def get(self, model: type[_Owned], owner_id: UUID, row_id: UUID) -> _Owned:
        """Return the owner's row; raise `NotFound` if there is none, or it is someone else's."""

    @abstractmethod
    async def delete(self, row: SQLModel) -> None:
        """Remove the row."""

    def record(self, event: Event) -> None:
        """Store and publish the event with this transaction's commit, or not at all."""
        self._changes.record(event)

    async def commit(self) -> None:
        """Make everything durable, then publish the recorded events.

        When this returns, the change is committed and the bus has called its listeners.

        Raises:
            IncompleteUnitOfWork: A timeline was advanced without an event for each version. Nothing is committed.
        """
        self._changes.require_events()
        self.is_finished = True
        await self._commit(self._changes.events)

    async def rollback(self) -> None:
        """Undo everything, and publish nothing."""
        self.is_finished = True
        await self._rollback()

    @property
    def has_pending_changes(self) -> bool:
        """Whether a timeline was advanced, or an event recorded, and neither committed nor rolled back."""
        return not self.is_finished and not self._changes.is_empty()

    @abstractmethod
    async def _commit(self, events: Sequence[Event]) -> None: ...

    @abstractmethod
    async def _rollback(self) -> None: ...


class Transactions(ABC):
    """Runs use cases, each in a unit of work."""

    async def run(
        self,
        use_case: Callable[Concatenate[UnitOfWork, _Arguments], Awaitable[_Result]],
        *args: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        """Call the use case with a new unit of work, and return what it returns.

        If the use case raises, its transaction is rolled back. If the transaction lost a deadlock, the use case is
        called again, in a new one.

        Raises:
            Deadlocked: The transaction lost a deadlock three times.
            IncompleteUnitOfWork: The use case neither committed nor rolled back.
        """
        for _ in range(_DEADLOCK_RETRIES):
            with suppress(Deadlocked):
                return await self._run_once(use_case, *args, **options)
        return await self._run_once(use_case, *args, **options)

    async def _run_once(
        self,
        use_case: Callable[Concatenate[UnitOfWork, _Arguments], Awaitable[_Result]],
        *args: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        async with self.begin() as unit:
            result = await use_case(unit, *args, **options)
            if not unit.is_finished:
                raise IncompleteUnitOfWork("a use case must commit its unit of work or roll it back")
        return result

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work; leaving the context without a commit rolls it back. Use cases call `run` instead.

        Raises:
            Deadlocked: The transaction lost a deadlock.
            IncompleteUnitOfWork: The context is left with changes that were neither committed nor rolled back.
        """
        async with self._open() as unit:
            yield unit
            if unit.has_pending_changes:
                raise IncompleteUnitOfWork("changes of a timeline were neither committed nor rolled back")

    @abstractmethod
    def _open(self) -> AbstractAsyncContextManager[UnitOfWork]: ...
