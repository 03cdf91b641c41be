"""Idempotency keys: a retried request is recognised by its key."""

import hashlib
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, String
from sqlmodel import Field, SQLModel

from models.columns import LongExactString, UTCDateTime, UUIDBytes, now
from models.post import PostCreate


class IdempotencyKey(SQLModel, table=True):
    """What is needed to answer a request with an `Idempotency-Key` again, stored in the transaction of its change.

    So no key exists without its change, or while its answer is pending; see draft-ietf-httpapi-idempotency-key-header.
    `post_id` is of the post that was added, `timeline_version` the version that the change made, and `answer` whatever
    else of the answer the request does not say itself.
    """

    __tablename__ = "idempotency_keys"  # pyright: ignore[reportAssignmentType]

    lifetime: ClassVar[timedelta] = timedelta(hours=24)

    user_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)
    key: str = Field(primary_key=True, max_length=255, sa_type=LongExactString)
    body_hash: str = Field(sa_type=String(64))
    post_id: UUID | None = Field(default=None, sa_type=UUIDBytes)
    timeline_version: int | None = Field(default=None, sa_type=BigInteger)
    answer: bytes | None = Field(default=None, sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now, sa_type=UTCDateTime, index=True)

    @classmethod
    def of(
        cls,
        user_id: UUID,
        key: str,
        request: PostCreate | str,
        post_id: UUID | None = None,
        *,
        timeline_version: int | None = None,
        answer: bytes | None = None,
    ) -> "IdempotencyKey":
        """Return the row that lets a retry with the key be answered.

        `request` is the new post, or whatever tells another request from all others: its method, path and body.
        """
        return cls(
            user_id=user_id,
            key=key,
            body_hash=_hash(request),
            post_id=post_id,
            timeline_version=timeline_version,
            answer=answer,
        )

    def is_of(self, request: PostCreate | str) -> bool:
        """Return whether the key was first used with the same request."""
        return self.body_hash == _hash(request)


def _hash(request: PostCreate | str) -> str:
    # No text contains NUL, so none has the hash of another request.
    hashed = f"\0{request}" if isinstance(request, str) else request.text
    return hashlib.sha256(hashed.encode()).hexdigest()
