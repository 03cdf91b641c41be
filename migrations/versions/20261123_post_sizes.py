"""The size of each post's text, in bytes.

Revision: 7c40d95e1ab2, after e1f6b02c9d37
"""

import sqlalchemy as sa
from alembic import op

revision = "7c40d95e1ab2"
down_revision = "e1f6b02c9d37"
branch_labels = None
depends_on = None

# SQLite's LENGTH of a text counts characters.
_LENGTHS = {"sqlite": "length(CAST(text AS BLOB))", "mysql": "length(text)", "mariadb": "length(text)"}


def upgrade() -> None:
    op.add_column("posts", sa.Column("size", sa.Integer(), nullable=True))
    op.execute(f"UPDATE posts SET size = {_LENGTHS[op.get_bind().dialect.name]}")  # noqa: S608
    with op.batch_alter_table("posts") as batch:
        batch.alter_column("size", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("posts") as batch:
        batch.drop_column("size")
