"""The progress of durable listeners, and their dead letters."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, String
from sqlmodel import Field, SQLModel

from models.columns import UTCDateTime, UUIDBytes, now

ERROR_LENGTH = 255


class ListenerProgress(SQLModel, table=True):
    """The progress of one durable listener in one user's timeline.

    `version` is that of the last event that was delivered or became a dead letter. `attempts` counts the failed
    deliveries of the event after it, which is retried at `retry_at`.
    """

    __tablename__ = "listener_progress"  # pyright: ignore[reportAssignmentType]

    listener: str = Field(primary_key=True, max_length=64, sa_type=String(64))
    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes)
    version: int = Field(default=0, sa_type=BigInteger)
    attempts: int = 0
    retry_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    error: str = Field(default="", max_length=ERROR_LENGTH, sa_type=String(ERROR_LENGTH))


class DeadLetter(SQLModel, table=True):
    """An event that a durable listener failed on too often. Its stored event is not pruned while this row exists."""

    __tablename__ = "dead_letters"  # pyright: ignore[reportAssignmentType]

    listener: str = Field(primary_key=True, max_length=64, sa_type=String(64))
    user_id: UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE", index=True, sa_type=UUIDBytes)
    version: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    error: str = Field(max_length=ERROR_LENGTH, sa_type=String(ERROR_LENGTH))
    given_up_at: datetime = Field(default_factory=now, sa_type=UTCDateTime)
