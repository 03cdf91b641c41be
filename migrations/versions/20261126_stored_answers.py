"""Idempotency keys of requests other than `POST /posts`, with what is needed to answer them again.

Revision: e3a8c05d7f12, after 5b2e8c1d94f6
"""

import sqlalchemy as sa
from alembic import op

from models.columns import UUIDBytes

revision = "e3a8c05d7f12"
down_revision = "5b2e8c1d94f6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("idempotency_keys") as batch:
        batch.alter_column("post_id", existing_type=UUIDBytes(), nullable=True)
        batch.add_column(sa.Column("timeline_version", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("answer", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    # The version before knows no such keys, so no retry can ask for them.
    keys = sa.table("idempotency_keys", sa.column("post_id"))
    op.execute(keys.delete().where(keys.c.post_id.is_(None)))
    with op.batch_alter_table("idempotency_keys") as batch:
        batch.drop_column("answer")
        batch.drop_column("timeline_version")
        batch.alter_column("post_id", existing_type=UUIDBytes(), nullable=False)
