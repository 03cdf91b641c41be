"""The epoch by which processes decide whether the shared cache can be trusted.

Revision: 58e0b7d3a4c1, after c86a5f02d914
"""

import sqlalchemy as sa
from alembic import op

revision = "58e0b7d3a4c1"
down_revision = "c86a5f02d914"
branch_labels = None
depends_on = None


def upgrade() -> None:
    epochs = op.create_table(
        "shared_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("server", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.bulk_insert(epochs, [{"id": 1, "epoch": 1, "server": ""}])


def downgrade() -> None:
    op.drop_table("shared_epoch")
