"""SQLModel classes, one module a noun: each family is table and validation schema in one.

`PostBase` holds what `Post` (the table), `PostCreate` (a body) and `PostRead` (an answer) share. Begin with `post`.
Import them from this package.
"""

from sqlmodel import SQLModel

from models.batch import (
    CreateOperation,
    DeleteOperation,
    OperationResult,
    PostBatch,
    PostBatchApplied,
    UpdateOperation,
)
from models.change import Change, ChangeRead, ChangesRead
from models.delivery import DeadLetter, ListenerProgress
from models.erasure import Erasure
from models.event import StoredEvent
from models.export import EXPORT_FORMAT, ExportedUser, ExportEnd, ImportRead
from models.idempotency import IdempotencyKey
from models.invitation import Invitation, InvitationState, SignUpPolicy
from models.limits import Limits, Quota
from models.mail import Mail, MailPurpose
from models.operator_action import Action, OperatorAction
from models.personal_token import PersonalTokenCreate, PersonalTokenCreated, PersonalTokenRead, Scope
from models.post import Post, PostCreate, PostCreated, PostImport, PostItem, PostRead, PostUpdate
from models.recovery import EmailChange, EmailConfirmation, PasswordReset, PasswordResetRequest
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
    WebhookReplay,
    WebhookUpdate,
)

EXPORTED: dict[str, tuple[type[SQLModel], type[SQLModel]]] = {
    "session": (Session, SessionRead),
    "personal_token": (Session, PersonalTokenRead),
    "webhook": (Webhook, WebhookRead),
}
"""What an export holds besides the user and the posts: the name of each kind, its table, and what its owner sees."""

__all__ = [
    "EXPORTED",
    "EXPORT_FORMAT",
    "Action",
    "Change",
    "ChangeRead",
    "ChangesRead",
    "CreateOperation",
    "DeadLetter",
    "DeleteOperation",
    "DeliveryStatus",
    "EmailChange",
    "EmailConfirmation",
    "Erasure",
    "ExportEnd",
    "ExportedUser",
    "IdempotencyKey",
    "ImportRead",
    "Invitation",
    "InvitationState",
    "Limits",
    "ListenerProgress",
    "LogIn",
    "Mail",
    "MailPurpose",
    "OperationResult",
    "OperatorAction",
    "PasswordChange",
    "PasswordConfirmation",
    "PasswordReset",
    "PasswordResetRequest",
    "PersonalTokenCreate",
    "PersonalTokenCreated",
    "PersonalTokenRead",
    "Post",
    "PostBatch",
    "PostBatchApplied",
    "PostCreate",
    "PostCreated",
    "PostImport",
    "PostItem",
    "PostRead",
    "PostUpdate",
    "Quota",
    "RefreshRequest",
    "Scope",
    "Session",
    "SessionRead",
    "SignUp",
    "SignUpPolicy",
    "StoredEvent",
    "TokenPair",
    "UpdateOperation",
    "User",
    "UserRead",
    "Webhook",
    "WebhookCreate",
    "WebhookCreated",
    "WebhookDelivery",
    "WebhookDeliveryExport",
    "WebhookDeliveryRead",
    "WebhookRead",
    "WebhookReplay",
    "WebhookUpdate",
]
