"""People can be invited to sign up, and what operators do to invitations is kept.

Revision: e5b0c9d21f83, after c41a7e90b65d
"""

import sqlalchemy as sa
from alembic import op

from models.columns import ExactString, UTCDateTime, UUIDBytes

revision = "e5b0c9d21f83"
down_revision = "c41a7e90b65d"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", UUIDBytes(), nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("email", ExactString, nullable=True),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.Column("used_by", UUIDBytes(), nullable=True),
        sa.ForeignKeyConstraint(["used_by"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_invitations_code_hash", "invitations", ["code_hash"], unique=True)
    op.create_index("ix_invitations_expires_at", "invitations", ["expires_at"])
    op.create_index("ix_invitations_used_by", "invitations", ["used_by"])
    with op.batch_alter_table("operator_actions") as batch:
        batch.alter_column("user_id", existing_type=UUIDBytes(), nullable=True)
        batch.add_column(sa.Column("invitation_id", UUIDBytes(), nullable=True))
    op.create_index("ix_operator_actions_invitation_id", "operator_actions", ["invitation_id"])


def downgrade() -> None:
    actions = sa.table("operator_actions", sa.column("user_id"))
    op.execute(sa.delete(actions).where(actions.c.user_id.is_(None)))
    op.drop_index("ix_operator_actions_invitation_id", table_name="operator_actions")
    with op.batch_alter_table("operator_actions") as batch:
        batch.drop_column("invitation_id")
        batch.alter_column("user_id", existing_type=UUIDBytes(), nullable=False)
    op.drop_table("invitations")
