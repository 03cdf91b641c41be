"""Makes valid instances of every model family."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from polyfactory import Use
from polyfactory.decorators import post_generated
from polyfactory.factories.pydantic_factory import ModelFactory
from uuid_utils.compat import uuid7

from events.types import PostCreatedEvent
from models import Invitation, LogIn, Post, PostCreate, PostUpdate, Session, SignUp, StoredEvent, User
from models.user import address_key

TEXTS = [
    "plain",
    "Straße, naïve, Ελληνικά, русский, العربية, עברית, हिन्दी, 日本語, 한국어",
    "👩‍👩‍👧‍👦 🏳️‍🌈 🇺🇳",
    "e\u0301 is not é",
    "line\nline\r\nline\ttab \u2028 \u0001 \\ \" ' % ; -- `",
    " leading and trailing ",
    "\U0010ffff",
]


def recently() -> datetime:
    """Return a time that every database keeps to the microsecond."""
    return datetime.now(UTC)


class PostCreateFactory(ModelFactory[PostCreate]):
    text = Use(ModelFactory.__random__.choice, TEXTS)


class PostUpdateFactory(ModelFactory[PostUpdate]):
    text = Use(ModelFactory.__random__.choice, TEXTS)


class SignUpFactory(ModelFactory[SignUp]):
    email = Use(lambda: f"{uuid7().hex}@example.com")
    password = Use(lambda: f"password {uuid7().hex}")


class LogInFactory(ModelFactory[LogIn]):
    email = Use(lambda: f"{uuid7().hex}@example.com")
    password = Use(lambda: f"password {uuid7().hex}")


class UserFactory(ModelFactory[User]):
    id = Use(uuid7)
    email = Use(lambda: f"{uuid7().hex}@example.com")

    @post_generated
    @classmethod
    def email_key(cls, email: str) -> str:
        return address_key(email)

    created_at = Use(recently)
    timeline_version = 0
    undelivered_since = None
    password_version = 1
    email_version = 1
    email_verified_at = None
    disabled_at = None
    post_count = 0
    post_bytes = 0
    counted_version = 0
    max_posts = None
    max_bytes = None
    max_webhooks = None


class PostFactory(ModelFactory[Post]):
    id = Use(uuid7)
    text = Use(ModelFactory.__random__.choice, TEXTS)
    position = 1
    version = 1

    @post_generated
    @classmethod
    def size(cls, text: str) -> int:
        return len(text.encode())

    created_at = Use(recently)
    updated_at = Use(recently)


class SessionFactory(ModelFactory[Session]):
    id = Use(uuid7)
    user_agent = "curl/8"
    generation = 1
    created_at = Use(recently)
    last_used_at = Use(recently)
    expires_at = Use(lambda: recently() + timedelta(days=1))
    refresh_token_hash = "0" * 64
    token_hash = None
    name = None
    scopes = None


def personal_token(user_id: UUID, **changes: Any) -> Session:
    """Return the row of a personal token that nobody holds, unless `token_hash` is changed."""
    values: dict[str, Any] = {
        "token_hash": secrets.token_bytes(32),
        "name": "a token",
        "scopes": ["posts:read"],
        "user_agent": "",
        "generation": 0,
        "refresh_token_hash": "",
    }
    return SessionFactory.build(user_id=user_id, **values | changes)


class InvitationFactory(ModelFactory[Invitation]):
    id = Use(uuid7)
    code_hash = Use(lambda: uuid7().hex * 2)
    email = None
    created_at = Use(recently)
    expires_at = Use(lambda: recently() + timedelta(days=1))
    revoked_at = None
    used_at = None
    used_by = None


def stored_event(user_id: UUID, version: int) -> StoredEvent:
    """Return the row of a created post's event."""
    event = PostCreatedEvent(user_id=user_id, version=version, post_id=uuid7(), occurred_at=recently())
    return StoredEvent(**StoredEvent.values_of(event))
