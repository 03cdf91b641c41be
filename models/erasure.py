"""What there can be too much of to be removed with its owner."""

from typing import Any
from uuid import UUID

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


# The columns that name the owner, without a foreign key, and those that an index sorts each owner's rows by.
OWNED: tuple[tuple[Any, Any], ...] = (
    (col(Post.user_id), col(Post.position)),
    (col(StoredEvent.user_id), col(StoredEvent.version)),
    (col(IdempotencyKey.user_id), col(IdempotencyKey.key)),
    (col(WebhookDelivery.webhook_id), col(WebhookDelivery.version)),
)
