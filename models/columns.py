"""Column types that hold the same value on SQLite, MySQL and MariaDB."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Dialect, LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import DateTime, TypeDecorator, TypeEngine
from sqlmodel import SQLModel

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
}


class UUIDBytes(TypeDecorator[UUID]):
    """A UUID as its 16 bytes, which for UUIDv7 sort by time."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose `BINARY(16)` where a key may not be a `BLOB`."""
        return dialect.type_descriptor(mysql.BINARY(16) if _is_mysql(dialect) else LargeBinary(16))

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """Return what the database stores."""
        return None if value is None else value.bytes

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        """Return what the application sees."""
        return None if value is None else UUID(bytes=value)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC to the microsecond."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose `DATETIME(6)`: MySQL's plain `DATETIME` drops fractions of a second."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if _is_mysql(dialect) else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what the database stores."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what the application sees."""
        return None if value is None else value.replace(tzinfo=UTC)


# MySQL's TEXT ends at 64 KiB.
LongText = Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")

# Compared by code point: MySQL's default collation takes é for e, and with it one person's address for another's.
ExactString = String(254).with_variant(
    mysql.VARCHAR(254, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)

# A database that does not say otherwise may take Latin letters only.
AnyLetters = String(255).with_variant(mysql.VARCHAR(255, charset="utf8mb4"), "mysql", "mariadb")


def now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def _is_mysql(dialect: Dialect) -> bool:
    return dialect.name in {"mysql", "mariadb"}
