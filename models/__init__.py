"""SQLModel classes, one module a noun: each family is table and validation schema in one.

`PostBase` holds what `Post` (the table), `PostCreate` (a body) and `PostRead` (an answer) share. Begin with `post`.
Import them from this package.
"""

from sqlmodel import SQLModel

from models.delivery import DeadLetter, ListenerProgress
from models.erasure import Erasure
from models.event import StoredEvent
from models.idempotency import IdempotencyKey
from models.post import Post, PostCreate, PostCreated, PostItem, PostRead, PostUpdate
from models.session import RefreshRequest, Session, SessionRead, TokenPair
from models.user import LogIn, PasswordChange, PasswordConfirmation, SignUp, User, UserRead
from models.webhook import (
    DeliveryStatus,
    Webhook,
    WebhookCreate,
    WebhookCreated,
    WebhookDelivery,
    WebhookDeliveryExport,
    WebhookDeliveryRead,
    WebhookRead,
)

EXPORTED: dict[str, tuple[type[SQLModel], type[SQLModel]]] = {
    "session": (Session, SessionRead),
    "webhook": (Webhook, WebhookRead),
}
"""What an export holds besides the user and the posts: the name of each kind, its table, and what its owner sees."""

__all__ = [
    "EXPORTED",
    "DeadLetter",
    "DeliveryStatus",
    "Erasure",
    "IdempotencyKey",
    "ListenerProgress",
    "LogIn",
    "PasswordChange",
    "PasswordConfirmation",
    "Post",
    "PostCreate",
    "PostCreated",
    "PostItem",
    "PostRead",
    "PostUpdate",
    "RefreshRequest",
    "Session",
    "SessionRead",
    "SignUp",
    "StoredEvent",
    "TokenPair",
    "User",
    "UserRead",
    "Webhook",
    "WebhookCreate",
    "WebhookCreated",
    "WebhookDelivery",
    "WebhookDeliveryExport",
    "WebhookDeliveryRead",
    "WebhookRead",
]
