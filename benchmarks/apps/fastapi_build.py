"""The same features in FastAPI, as its documentation teaches: an ORM session and the user's row in each request."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import jwt
from cachetools import TTLCache
from fastapi import Depends, FastAPI, HTTPException
from fastapi.concurrency import run_in_threadpool
from fastapi.security import OAuth2PasswordBearer
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import BaseModel, ConfigDict, EmailStr
from sqlalchemy import DateTime, ForeignKey, String, Text, event, select
from sqlalchemy.dialects.mysql import DATETIME, MEDIUMTEXT
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = "a secret for measuring that is long enough"  # noqa: S105
ALGORITHM = "HS256"

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
passwords = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))
bearer = OAuth2PasswordBearer(tokenUrl="auth/login")
is_caching = os.environ.get("CACHE") != "off"

if engine.dialect.name == "sqlite":

    @event.listens_for(engine.sync_engine, "connect")
    def _set_pragmas(connection: Any, _: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")


# MySQL's plain DATETIME drops fractions of a second, and with them the order of posts.
Moment = DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")


class Base(DeclarativeBase):
    """The tables."""


class User(Base):
    """A user."""

    __tablename__ = "user"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(255))


class Post(Base):
    """A user's post."""

    __tablename__ = "post"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey(User.id), index=True)
    text: Mapped[str] = mapped_column(Text().with_variant(MEDIUMTEXT, "mysql", "mariadb"))
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class Credentials(BaseModel):
    """The body of sign-up and log-in."""

    email: EmailStr
    password: str


class Token(BaseModel):
    """An access token."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105


class PostCreate(BaseModel):
    """The body that adds a post."""

    text: str


class PostCreated(BaseModel):
    """The answer to a created post."""

    postID: UUID  # noqa: N815


class PostRead(BaseModel):
    """A post in a list."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    text: str
    created_at: datetime
    updated_at: datetime


lists: TTLCache[UUID, list[PostRead], float] = TTLCache(1024, 300)  # pyright: ignore[reportAssignmentType]


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yield the request's session."""
    async with sessions() as session:
        yield session


CurrentSession = Annotated[AsyncSession, Depends(get_session)]


async def get_current_user(session: CurrentSession, token: Annotated[str, Depends(bearer)]) -> User:
    """Return the token's user."""
    try:
        user_id = UUID(jwt.decode(token, SECRET, algorithms=[ALGORITHM])["sub"])
    except (jwt.InvalidTokenError, KeyError, ValueError):
        raise HTTPException(401) from None
    user = await session.get(User, user_id)
    if user is None:
        raise HTTPException(401)
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Create the tables, and close the pool at the end."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/auth/signup", status_code=201)
async def sign_up(data: Credentials, session: CurrentSession) -> Token:
    """Create an account."""
    user = User(email=data.email, password_hash=await run_in_threadpool(passwords.hash, data.password))
    session.add(user)
    await session.commit()
    return _token(user)


@app.post("/auth/login")
async def log_in(data: Credentials, session: CurrentSession) -> Token:
    """Issue a token."""
    user = await session.scalar(select(User).where(User.email == data.email))
    if user is None or not await run_in_threadpool(passwords.verify, data.password, user.password_hash):
        raise HTTPException(401)
    return _token(user)


@app.post("/posts", status_code=201)
async def create_post(data: PostCreate, user: CurrentUser, session: CurrentSession) -> PostCreated:
    """Add a post."""
    at = datetime.now(UTC).replace(tzinfo=None)
    post = Post(user_id=user.id, text=data.text, created_at=at, updated_at=at)
    session.add(post)
    await session.commit()
    lists.pop(user.id, None)
    return PostCreated(postID=post.id)


@app.get("/posts")
async def list_posts(user: CurrentUser, session: CurrentSession) -> list[PostRead]:
    """Return all posts of the user, newest first."""
    if user.id in lists:
        return lists[user.id]
    found = await session.scalars(select(Post).where(Post.user_id == user.id).order_by(Post.created_at.desc()))
    posts = [PostRead.model_validate(post) for post in found]
    if is_caching:
        lists[user.id] = posts
    return posts


def _token(user: User) -> Token:
    claims = {"sub": str(user.id), "exp": datetime.now(UTC) + timedelta(minutes=15)}
    return Token(access_token=jwt.encode(claims, SECRET, algorithm=ALGORITHM))
