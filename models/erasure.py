"""What there can be too much of to be removed with its owner."""

from typing import Any
from uuid import UUID

from sqlalchemy import literal
from sqlmodel import Field, SQLModel, col

from models.columns import UUIDBytes
from models.event import StoredEvent
from models.idempotency import IdempotencyKey
from models.post import Post
from models.webhook import WebhookDelivery


class Erasure(SQLModel, table=True):
    """An owner who is gone, a user or a webhook, and whose rows are still to be removed."""

    __tablename__ = "erasures"  # pyright: ignore[reportAssignmentType]

    owner_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)


_SMALL = literal(0)

# The columns that name the owner, without a foreign key, those that an index sorts each owner's rows by, and the bytes
# of a row, where there can be many.
OWNED: tuple[tuple[Any, Any, Any], ...] = (
    (col(Post.user_id), col(Post.position), col(Post.size)),
    (col(StoredEvent.user_id), col(StoredEvent.version), _SMALL),
    (col(IdempotencyKey.user_id), col(IdempotencyKey.key), _SMALL),
    (col(WebhookDelivery.webhook_id), col(WebhookDelivery.version), _SMALL),
)
