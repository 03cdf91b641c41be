"""Idempotency keys: a retried request is recognised by its key."""

import hashlib
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import String
from sqlmodel import Field, SQLModel

from models.columns import ExactString, UTCDateTime, UUIDBytes, now
from models.post import PostCreate


class IdempotencyKey(SQLModel, table=True):
    """The answer to a `POST /posts` with an `Idempotency-Key`, stored in the transaction that added the post.

    So no key exists without its post, or while its answer is pending; see draft-ietf-httpapi-idempotency-key-header.
    """

    __tablename__ = "idempotency_keys"  # pyright: ignore[reportAssignmentType]

    lifetime: ClassVar[timedelta] = timedelta(hours=24)

    user_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)
    key: str = Field(primary_key=True, max_length=254, sa_type=ExactString)
    body_hash: str = Field(sa_type=String(64))
    post_id: UUID = Field(sa_type=UUIDBytes)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime, index=True)

    @classmethod
    def of(cls, user_id: UUID, key: str, draft: PostCreate, post_id: UUID) -> "IdempotencyKey":
        """Return the row that lets a retry with the key answer with this post."""
        return cls(user_id=user_id, key=key, body_hash=_hash(draft), post_id=post_id)

    def is_of(self, draft: PostCreate) -> bool:
        """Return whether the key was first used with the same body."""
        return self.body_hash == _hash(draft)


def _hash(draft: PostCreate) -> str:
    return hashlib.sha256(draft.text.encode()).hexdigest()
