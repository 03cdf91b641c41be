"""Adds the posts of an export to an account."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import NamedTuple
from uuid import UUID

from app.errors import DomainError, Unauthenticated
from app.ports.timelines import Timelines
from app.ports.unit_of_work import Transactions, UnitOfWork
from app.services.export_reader import ExportReader, ImportPolicy
from app.shares import Share
from models import Post, PostImport


class Imported(NamedTuple):
    """How many posts an import created, how many it skipped because they were there, and the timeline's version."""

    created: int
    skipped: int
    version: int


class ImportService:
    """Imports exports. `imports` bounds how many run at a time, each of which holds a few megabytes."""

    def __init__(self, transactions: Transactions, timelines: Timelines, policy: ImportPolicy | None = None) -> None:
        self._transactions = transactions
        self._timelines = timelines
        self._policy = policy or ImportPolicy()
        self.imports = Share("imports", per_key=2, total=8)

    async def run(self, owner_id: UUID, chunks: AsyncIterator[bytes], *, session_id: UUID | None = None) -> Imported:
        """Add the posts of an export that the owner does not have, and return when they are committed.

        They are added in its order, a batch in each transaction. A batch is read when the one before it is committed.
        Whatever ends an import, the batches that were committed stay, and importing the export again skips them. With
        `session_id`, the import ends when the session does.

        Raises:
            DomainError: The import ended early. `members` say how many posts were `created` and `skipped`.
            InvalidImport: A line is no line of an export, or the export is cut or was changed.
            TooManyRequests: The owner has too many imports or other writes under way.
            Overloaded: Too many imports are under way.
            Unauthenticated: The owner is gone, or the session has ended.
        """
        done = Imported(0, 0, 0)
        with self.imports.hold(owner_id):
            try:
                async with aclosing(ExportReader(self._policy).batches(chunks)) as batches:
                    async for posts in batches:
                        if session_id is not None and await self._timelines.version(owner_id, session_id) is None:
                            raise Unauthenticated("The session has ended.")
                        added = await self._transactions.run_for(owner_id, _import, owner_id, posts)
                        done = Imported(done.created + added.created, done.skipped + added.skipped, added.version)
            except DomainError as error:
                error.members |= {"created": done.created, "skipped": done.skipped}
                raise
        return done


async def _import(unit: UnitOfWork, owner_id: UUID, posts: Sequence[PostImport]) -> Imported:
    # Under the owner's lock: of two imports of one export at the same time, the second finds the posts of the first.
    owner = await unit.users.lock(owner_id)
    derived = dict[UUID, PostImport]()
    for post in posts:
        derived.setdefault(post.id_for(owner_id), post)
    # Posts of the owner's own export are there under their own ids.
    existing = await unit.posts.existing(owner_id, {*derived, *(post.postID for post in posts)})
    new = [post for post_id, post in derived.items() if existing.isdisjoint({post_id, post.postID})]
    if not new:
        version = owner.timeline_version
        await unit.rollback()
        return Imported(0, len(posts), version)
    version = await unit.users.advance_timeline(owner_id, by=len(new))
    rows = list[Post]()
    for position, post in enumerate(new, version - len(new) + 1):
        row, created = Post.imported(owner_id, post, position)
        rows.append(row)
        unit.record(created)
    await unit.posts.add(rows)
    await unit.commit()
    return Imported(len(new), len(posts) - len(new), version)
