"""Idempotency keys, and an index that finds old events.

Revision: 3f0c9a6d1b52, after 7285804e802e
"""

import sqlalchemy as sa
from alembic import op

from models.columns import ExactString, UTCDateTime, UUIDBytes

revision = "3f0c9a6d1b52"
down_revision = "7285804e802e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", UUIDBytes(), nullable=False),
        sa.Column("key", ExactString, nullable=False),
        sa.Column("body_hash", sa.String(64), nullable=False),
        sa.Column("post_id", UUIDBytes(), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_idempotency_keys_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_index("ix_events_occurred_at", "events", ["occurred_at"])


def downgrade() -> None:
    op.drop_index("ix_events_occurred_at", "events")
    op.drop_table("idempotency_keys")
