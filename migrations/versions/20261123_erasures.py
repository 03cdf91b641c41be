"""Erasures: the rows of a deleted owner are pruned in the background, no longer by foreign keys.

Revision: e1f6b02c9d37, after 58e0b7d3a4c1
"""

import sqlalchemy as sa
from alembic import op

from models.columns import UUIDBytes

revision = "e1f6b02c9d37"
down_revision = "58e0b7d3a4c1"
branch_labels = None
depends_on = None

_OWNED = [
    ("posts", "user_id", "users"),
    ("events", "user_id", "users"),
    ("idempotency_keys", "user_id", "users"),
    ("webhook_deliveries", "webhook_id", "webhooks"),
]


def upgrade() -> None:
    op.create_table("erasures", sa.Column("owner_id", UUIDBytes(), nullable=False), sa.PrimaryKeyConstraint("owner_id"))
    for table, column, owners in _OWNED:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(f"fk_{table}_{column}_{owners}", type_="foreignkey")


def downgrade() -> None:
    for table, column, owners in _OWNED:
        op.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM {owners})")  # noqa: S608
        with op.batch_alter_table(table) as batch:
            batch.create_foreign_key(f"fk_{table}_{column}_{owners}", owners, [column], ["id"], ondelete="CASCADE")
    op.drop_table("erasures")
