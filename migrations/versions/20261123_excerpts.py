"""Unicode in the excerpts of webhook answers, whatever the database's default character set.

Revision: 2f8b6a01d9c4, after 7c40d95e1ab2
"""

import sqlalchemy as sa
from alembic import op

from models.columns import UnicodeString

revision = "2f8b6a01d9c4"
down_revision = "7c40d95e1ab2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("webhook_deliveries", "response_excerpt", existing_type=sa.String(255), type_=UnicodeString)


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("webhook_deliveries", "response_excerpt", existing_type=UnicodeString, type_=sa.String(255))
