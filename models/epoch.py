"""What all processes agree on about the cache they share."""

from sqlalchemy import BigInteger, String
from sqlmodel import Field, SQLModel


class SharedEpoch(SQLModel, table=True):
    """The only row of its table; `app.redis.trust` says what the number means.

    `server` is the Redis that is meant, and the database that the number was given out in.
    """

    __tablename__ = "shared_epoch"  # pyright: ignore[reportAssignmentType]

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    epoch: int = Field(default=1, sa_type=BigInteger)
    server: str = Field(default="", max_length=64, sa_type=String(64))
