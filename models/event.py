"""A stored event: the durable record of one committed change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, String
from sqlmodel import Field, SQLModel

from events import types as events
from models.columns import UTCDateTime, UUIDBytes


class StoredEvent(SQLModel, table=True):
    """A domain event, stored in the same transaction as its change, under the user and the new timeline version."""

    __tablename__ = "events"  # pyright: ignore[reportAssignmentType]

    user_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)
    version: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    type: str = Field(sa_type=String(32))
    payload: bytes = Field(sa_type=LargeBinary)
    occurred_at: datetime = Field(sa_type=UTCDateTime, index=True)

    @staticmethod
    def values_of(event: events.PostEvent) -> dict[str, Any]:
        """Return the event's row, by column name."""
        return {
            "user_id": event.user_id,
            "version": event.version,
            "type": event.type,
            "payload": events.encode(event),
            "occurred_at": event.occurred_at,
        }
