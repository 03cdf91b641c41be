"""Drop the shared epoch: Redis no longer answers for versions and sessions.

Revision: 4b7d1f60c9e2, after 2f8b6a01d9c4
"""

import sqlalchemy as sa
from alembic import op

revision = "4b7d1f60c9e2"
down_revision = "2f8b6a01d9c4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("shared_epoch")


def downgrade() -> None:
    epochs = op.create_table(
        "shared_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("server", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(epochs, [{"id": 1, "epoch": 1, "server": ""}])
