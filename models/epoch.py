"""What all processes agree on about the cache they share."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class SharedEpoch(SQLModel, table=True):
    """The only row of its table; `app.trust` says what the number means."""

    __tablename__ = "shared_epoch"  # pyright: ignore[reportAssignmentType]

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    epoch: int = Field(default=0, sa_type=BigInteger)
