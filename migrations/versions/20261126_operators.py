"""Users can be disabled by an operator, and what operators do is kept.

Revision: 8d15c3e7a0f4, after 9e25c7a4f013
"""

import sqlalchemy as sa
from alembic import op

from models.columns import UnicodeString, UTCDateTime, UUIDBytes

revision = "8d15c3e7a0f4"
down_revision = "9e25c7a4f013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("disabled_at", UTCDateTime(), nullable=True))
    op.create_table(
        "operator_actions",
        sa.Column("id", UUIDBytes(), nullable=False),
        sa.Column("user_id", UUIDBytes(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("operator", UnicodeString, nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_operator_actions_user_id", "operator_actions", ["user_id"])


def downgrade() -> None:
    op.drop_table("operator_actions")
    with op.batch_alter_table("users") as batch:
        batch.drop_column("disabled_at")
