"""SQLModel classes: each family is table and validation schema in one."""

from models.event import StoredEvent
from models.post import Post, PostCreate, PostCreated, PostRead, PostUpdate
from models.session import RefreshRequest, Session, TokenPair
from models.user import LogIn, SignUp, User, UserRead

__all__ = [
    "LogIn",
    "Post",
    "PostCreate",
    "PostCreated",
    "PostRead",
    "PostUpdate",
    "RefreshRequest",
    "Session",
    "SignUp",
    "StoredEvent",
    "TokenPair",
    "User",
    "UserRead",
]
