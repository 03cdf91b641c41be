"""Mails wait in a queue, and users have a verified address.

Revision: c41a7e90b65d, after 8d15c3e7a0f4
"""

import sqlalchemy as sa
from alembic import op

from models.columns import ExactString, UTCDateTime, UUIDBytes

revision = "c41a7e90b65d"
down_revision = "8d15c3e7a0f4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("email_verified_at", UTCDateTime(), nullable=True))
    op.add_column("users", sa.Column("email_version", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "mails",
        sa.Column("id", UUIDBytes(), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("user_id", UUIDBytes(), nullable=True),
        sa.Column("address", ExactString, nullable=False),
        sa.Column("password_version", sa.Integer(), nullable=True),
        sa.Column("email_version", sa.Integer(), nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("due_at", UTCDateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(64), nullable=False),
        sa.Column("given_up_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_mails_user_id", "mails", ["user_id"])
    op.create_index("ix_mails_due_at", "mails", ["due_at"])


def downgrade() -> None:
    op.drop_table("mails")
    with op.batch_alter_table("users") as batch:
        batch.drop_column("email_version")
        batch.drop_column("email_verified_at")
