"""The progress and the dead letters of durable listeners.

Revision: 9d41c27be803, after 3f0c9a6d1b52
"""

import sqlalchemy as sa
from alembic import op

from models.columns import UTCDateTime, UUIDBytes

revision = "9d41c27be803"
down_revision = "3f0c9a6d1b52"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("undelivered_since", UTCDateTime(), nullable=True))
    op.create_index("ix_users_undelivered_since", "users", ["undelivered_since"])
    op.create_table(
        "listener_progress",
        sa.Column("listener", sa.String(64), nullable=False),
        sa.Column("user_id", UUIDBytes(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", UTCDateTime(), nullable=True),
        sa.Column("error", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("listener", "user_id"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_listener_progress_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_listener_progress_user_id", "listener_progress", ["user_id"])
    op.create_table(
        "dead_letters",
        sa.Column("listener", sa.String(64), nullable=False),
        sa.Column("user_id", UUIDBytes(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("error", sa.String(255), nullable=False),
        sa.Column("given_up_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("listener", "user_id", "version"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_dead_letters_user_id_users", ondelete="CASCADE"),
    )
    op.create_index("ix_dead_letters_user_id", "dead_letters", ["user_id"])


def downgrade() -> None:
    op.drop_table("dead_letters")
    op.drop_table("listener_progress")
    op.drop_index("ix_users_undelivered_since", "users")
    op.drop_column("users", "undelivered_since")
