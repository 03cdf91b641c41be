"""Units of work: one transaction each, the events of what it changes, and its repositories.

A use case is a function of a unit of work. `Transactions.run` calls it, and calls it again if the transaction lost a
deadlock, so no use case can forget to retry. Nor can it forget its events: each version that a unit of work gives a
timeline must have one, and a use case must end with `commit` or `rollback`. Otherwise `IncompleteUnitOfWork` is raised.
Nor can it forget quotas: what its posts add or free is counted, and checked, by `commit` at the latest.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import datetime
from typing import Concatenate, ParamSpec, Protocol, TypeVar
from uuid import UUID

from sqlmodel import SQLModel

from app.errors import Deadlocked, QuotaExceeded
from app.quotas import Growth, Quotas
from app.shares import Turns
from events.types import Event, PostEvent
from models import IdempotencyKey, Invitation, Post, Session, User, Webhook, WebhookDelivery

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Owned = TypeVar("_Owned", bound=SQLModel)

_DEADLOCK_RETRIES = 2
# One owner's writes wait for each other at the owner's row. A second one is under way to it meanwhile.
_WRITES_PER_OWNER = 2
_MAX_WAITING_WRITES = 2000


NO_GROWTH = Growth()


class IncompleteUnitOfWork(Exception):
    """A use case left its unit of work unfinished, or a change without an event. It is an error in the use case."""


class Users(Protocol):
    """Users, within one transaction."""

    async def add(self, user: User) -> None:
        """Insert the user; raise `EmailTaken` if another has the address."""

    async def lock(self, user_id: UUID) -> User:
        """Return the user, locked until the transaction ends; raise `Unauthenticated` if there is none."""
        ...

    async def change_email(self, user: User, email: str) -> None:
        """Give a user that was locked before another address; raise `EmailTaken` if another has it."""

    async def delete(self, user: User) -> None:
        """Remove a user that was locked before, and all they own.

        Of a user with a long history, the rows that can't be reached without the user are pruned afterwards.
        """

    async def advance_timeline(self, user_id: UUID, growth: Growth = NO_GROWTH, *, by: int = 1) -> int:
        """Lock the user's row, advance the timeline's version by the number of changes, and return it.

        `growth` is what the change will add, if that is known already: then the same statement checks it against the
        user's quotas, and counts it. What is not named here is counted when the unit of work commits.

        Every writer of a timeline calls this first. So the changes of one user queue on this row and commit in the
        order of their versions, and durable listeners find something to deliver from the commit on.

        Raises:
            Unauthenticated: There is no such user.
            QuotaExceeded: The user has no room for the growth.
        """
        ...

    async def advance_timelines(
        self, changes: Mapping[UUID, int], growth: Mapping[UUID, Growth]
    ) -> Mapping[UUID, int | None]:
        """Advance several users' timelines, each by its number of changes, and return their versions.

        It is `None` for a user who has no room for the growth. Users that don't exist are left out. Of several users,
        those whose row someone else has locked are left out too; the row of a single one is waited for.
        """
        ...

    async def grow(self, user_id: UUID, growth: Growth) -> None:
        """Count what a change added to what the user keeps, or freed; `UnitOfWork.commit` calls this.

        Raises:
            Unauthenticated: There is no such user.
            QuotaExceeded: The user has no room for it.
        """


class Posts(Protocol):
    """Posts, within one transaction."""

    async def add(self, posts: Sequence[Post]) -> None:
        """Insert the posts."""

    async def get_all(self, owner_id: UUID, post_ids: Collection[UUID]) -> Mapping[UUID, Post]:
        """Return those of the posts that the owner has, by id. Their texts are not read, and can only be replaced."""
        ...

    async def remove(self, owner_id: UUID, posts: Sequence[Post]) -> None:
        """Delete posts of the owner that `get_all` returned, in one statement."""

    async def existing(self, owner_id: UUID, post_ids: Collection[UUID]) -> Set[UUID]:
        """Return those of the ids that the owner has posts with."""
        ...


class Sessions(Protocol):
    """Sessions, within one transaction. Personal tokens stand among them, and only `end_all` ends those too."""

    async def lock(self, session_id: UUID, at: datetime) -> Session | None:
        """Return the session, locked until the transaction ends, if it is alive at that time."""
        ...

    async def end(self, user_id: UUID, session_id: UUID) -> bool:
        """Remove the user's session; return whether there was one."""
        ...

    async def end_all(self, user_id: UUID) -> None:
        """Remove all of the user's sessions, and their personal tokens."""

    async def end_log_ins(self, user_id: UUID, *, but: UUID | None = None) -> None:
        """Remove the user's sessions that were opened by a log-in, all of them or all but one."""

    async def end_unused(self, user_id: UUID, *, keep: int) -> None:
        """Remove the user's sessions except the `keep` most recently used ones."""


class Invitations(Protocol):
    """Invitations, within one transaction."""

    async def lock(self, invitation_id: UUID) -> Invitation | None:
        """Return the invitation, if there is one, locked until the transaction ends."""
        ...


class PersonalTokens(Protocol):
    """Personal tokens, within one transaction."""

    async def count(self, user_id: UUID, at: datetime) -> int:
        """Return how many tokens of the user are alive at that time."""
        ...

    async def end(self, user_id: UUID, token_id: UUID) -> bool:
        """Remove the user's token; return whether there was one."""
        ...

    async def end_all(self, user_id: UUID) -> None:
        """Remove all of the user's tokens."""


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

    async def lock(self, owner_id: UUID, webhook_id: UUID) -> Webhook:
        """Return the owner's webhook, locked until the transaction ends; raise `NotFound` if there is none."""
        ...

    async def delete(self, owner_id: UUID | None, webhook_id: UUID) -> bool:
        """Remove a webhook of the owner, or of the operator, and its deliveries; return whether there was one."""
        ...

    async def test(self, webhook: Webhook) -> WebhookDelivery:
        """Queue a test of the webhook in place of the last one, before all that waits, and return it."""
        ...

    async def end_leases(self, owner_id: UUID) -> None:
        """Take the owner's webhooks from the processes that send to them, which notice it within a quarter of a second.

        An attempt that has begun then is the last.
        """

    async def queue(self, owner_id: UUID, events: Sequence[PostEvent]) -> None:
        """Queue each event for each webhook of the owner and of the operator that wants it, once for each.

        A webhook that is disabled, or is still being sent the history before, gets it from the history later.
        """


class ChangeLog:
    """The versions that a unit of work has given timelines, the events that it has recorded, and what posts it changes.

    Every post that a unit of work adds, hands out or removes is noted here, so that none escapes the quotas.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._without_event: set[tuple[UUID, int]] = set()
        self._changed: list[tuple[UUID, Growth]] = []
        self._handed_out: dict[UUID, tuple[Post, int]] = {}

    def advance(self, user_id: UUID, version: int, by: int = 1, growth: Growth = NO_GROWTH) -> None:
        """Note that the user's timeline was advanced by so many versions, up to this one, and this growth counted."""
        self._without_event |= {(user_id, version - offset) for offset in range(by)}
        self.count(user_id, growth)

    def count(self, user_id: UUID, growth: Growth) -> None:
        """Note that this growth is counted on the user's row."""
        self._changed.append((user_id, Growth(-growth.posts, -growth.bytes)))

    def add(self, post: Post) -> None:
        """Note that the post is inserted."""
        self._changed.append((post.user_id, Growth(1, post.size)))

    def hand_out(self, post: Post) -> None:
        """Note that a use case has the stored post, and may change it."""
        self._handed_out.setdefault(post.id, (post, post.size))

    def remove(self, post: Post) -> None:
        """Note that the post is deleted."""
        _, size = self._handed_out.pop(post.id, (post, post.size))
        self._changed.append((post.user_id, Growth(-1, -size)))

    def uncounted(self) -> Mapping[UUID, Growth]:
        """Return by how much more, or less, each user keeps than is counted."""
        edited = [(post.user_id, Growth(0, post.size - size)) for post, size in self._handed_out.values()]
        totals = dict[UUID, list[int]]()
        for user_id, (posts, size) in (*self._changed, *edited):
            total = totals.setdefault(user_id, [0, 0])
            total[0] += posts
            total[1] += size
        return {user_id: Growth(*total) for user_id, total in totals.items() if any(total)}

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
    invitations: Invitations
    personal_tokens: PersonalTokens
    idempotency_keys: IdempotencyKeys
    webhooks: Webhooks

    def __init__(self, changes: ChangeLog) -> None:
        self._changes = changes
        self.is_finished = False

    async def add(self, row: SQLModel) -> None:
        """Insert the row."""
        if isinstance(row, Post):
            self._changes.add(row)
        await self._add(row)

    async def get(self, model: type[_Owned], owner_id: UUID, row_id: UUID) -> _Owned:
        """Return the owner's row; raise `NotFound` if there is none, or it is someone else's."""
        row = await self._get(model, owner_id, row_id)
        if isinstance(row, Post):
            self._changes.hand_out(row)
        return row

    async def delete(self, row: SQLModel) -> None:
        """Remove the row."""
        if isinstance(row, Post):
            self._changes.remove(row)
        await self._delete(row)

    def record(self, event: Event) -> None:
        """Store and publish the event with this transaction's commit, or not at all."""
        self._changes.record(event)

    async def commit(self) -> None:
        """Make everything durable, then publish the recorded events.

        When this returns, the change is committed and the bus has called its listeners.

        Raises:
            IncompleteUnitOfWork: A timeline was advanced without an event for each version. Nothing is committed.
            QuotaExceeded: A user has no room for what the changes add. Nothing is committed.
        """
        self._changes.require_events()
        for user_id, growth in self._changes.uncounted().items():
            await self.users.grow(user_id, growth)
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
    async def _add(self, row: SQLModel) -> None: ...

    @abstractmethod
    async def _get(self, model: type[_Owned], owner_id: UUID, row_id: UUID) -> _Owned: ...

    @abstractmethod
    async def _delete(self, row: SQLModel) -> None: ...

    @abstractmethod
    async def _commit(self, events: Sequence[Event]) -> None: ...

    @abstractmethod
    async def _rollback(self) -> None: ...


class Transactions(ABC):
    """Runs use cases, each in a unit of work. `turns` leaves one owner no more than a share of the connections.

    `quotas` are the bounds that each unit of work holds users to.
    """

    def __init__(self, quotas: Quotas) -> None:
        self.quotas = quotas
        self.turns = Turns("writes", per_key=_WRITES_PER_OWNER, max_waiting=_MAX_WAITING_WRITES)

    async def run_for(
        self,
        owner_id: UUID,
        use_case: Callable[Concatenate[UnitOfWork, _Arguments], Awaitable[_Result]],
        *args: _Arguments.args,
        **options: _Arguments.kwargs,
    ) -> _Result:
        """Run the use case when it is the owner's turn.

        Raises:
            TooManyRequests: Too many writes of the owner wait already.
        """
        async with self.turns.of(owner_id):
            return await self.run(use_case, *args, **options)

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
        try:
            async with self.begin() as unit:
                result = await use_case(unit, *args, **options)
                if not unit.is_finished:
                    raise IncompleteUnitOfWork("a use case must commit its unit of work or roll it back")
        except QuotaExceeded as refusal:
            self.quotas.refused[refusal.quota] += 1
            raise
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
