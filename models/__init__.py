"""SQLModel classes: each family is table and validation schema in one."""

from models.delivery import DeadLetter, ListenerProgress
from models.epoch import SharedEpoch
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

__all__ = [
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
    "SharedEpoch",
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
