"""Erasures, and the tables that they concern: an owner may have too many rows there to delete them in one request."""

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
    """A user or a webhook that was deleted, and whose rows are still to be pruned."""

    __tablename__ = "erasures"  # pyright: ignore[reportAssignmentType]

    owner_id: UUID = Field(primary_key=True, sa_type=UUIDBytes)


_SMALL = literal(0)

# For each model: the column that names the owner (no foreign key), the column by which an index sorts an owner's rows,
# and the size of a row in bytes, if rows may be large.
OWNED: tuple[tuple[Any, Any, Any], ...] = (
    (col(Post.user_id), col(Post.position), col(Post.size)),
    (col(StoredEvent.user_id), col(StoredEvent.version), _SMALL),
    (col(IdempotencyKey.user_id), col(IdempotencyKey.key), _SMALL),
    (col(WebhookDelivery.webhook_id), col(WebhookDelivery.version), _SMALL),
    (col(WebhookDelivery.user_id), col(WebhookDelivery.timeline_version), _SMALL),
)
