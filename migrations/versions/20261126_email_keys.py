"""A key for each address, equal for addresses that differ in nothing but case.

Older accounts whose keys are equal all stay; the oldest of them gets the key.

Revision: 9e25c7a4f013, after 9d3e51b7a640
"""

from unicodedata import normalize

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "9e25c7a4f013"
down_revision = "9d3e51b7a640"
branch_labels = None
depends_on = None

_LENGTH = 254
_BATCH = 1000

_Key = sa.String(_LENGTH).with_variant(
    mysql.VARCHAR(_LENGTH, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)
_users = sa.table("users", sa.column("id", sa.LargeBinary), sa.column("email", _Key), sa.column("email_key", _Key))


def upgrade() -> None:
    op.add_column("users", sa.Column("email_key", _Key, nullable=True))
    connection = op.get_bind()
    last_id = b""
    while rows := connection.execute(
        sa.select(_users.c.id, _users.c.email).where(_users.c.id > last_id).order_by(_users.c.id).limit(_BATCH)
    ).all():
        keys = [{"user_id": user_id, "key": _key(email)} for user_id, email in rows]
        connection.execute(
            sa.update(_users).where(_users.c.id == sa.bindparam("user_id")).values(email_key=sa.bindparam("key")), keys
        )
        last_id = rows[-1].id
    _keep_the_oldest_of_equal_keys(connection)
    op.create_index("ix_users_email_key", "users", ["email_key"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_users_email_key", table_name="users")
    with op.batch_alter_table("users") as batch:
        batch.drop_column("email_key")


def _key(email: str) -> str | None:
    local, _, domain = email.rpartition("@")
    key = f"{normalize('NFC', normalize('NFD', local).upper().casefold())}@{domain}"
    return key if len(key) <= _LENGTH else None


def _keep_the_oldest_of_equal_keys(connection: sa.Connection) -> None:
    several = sa.select(_users.c.email_key).group_by(_users.c.email_key).having(sa.func.count() > 1)
    for (key,) in connection.execute(several.where(_users.c.email_key.is_not(None))).all():
        has_key = _users.c.email_key == key
        oldest = connection.scalar(sa.select(sa.func.min(_users.c.id)).where(has_key))
        connection.execute(sa.update(_users).where(has_key, _users.c.id != oldest).values(email_key=None))
