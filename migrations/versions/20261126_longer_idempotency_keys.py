"""Idempotency keys of 255 characters.

Revision: 9d3e51b7a640, after 4b7d1f60c9e2
"""

import sqlalchemy as sa
from alembic import op

from models.columns import ExactString, LongExactString

revision = "9d3e51b7a640"
down_revision = "4b7d1f60c9e2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("idempotency_keys") as batch:
        batch.alter_column("key", existing_type=ExactString, type_=LongExactString, existing_nullable=False)


def downgrade() -> None:
    # Cut short, a key could equal another one. The version before refuses such keys, so no retry can ask for them.
    keys = sa.table("idempotency_keys", sa.column("key", sa.String()))
    op.execute(keys.delete().where(sa.func.length(keys.c.key) > ExactString.length))
    with op.batch_alter_table("idempotency_keys") as batch:
        batch.alter_column("key", existing_type=LongExactString, type_=ExactString, existing_nullable=False)
