"""Personal tokens stand among the sessions, with a name, scopes and a hash.

Revision: 5b2e8c1d94f6, after f27a5d0c8b13
"""

import sqlalchemy as sa
from alembic import op

from models.columns import Digest, UnicodeString

revision = "5b2e8c1d94f6"
down_revision = "f27a5d0c8b13"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("token_hash", Digest, nullable=True))
    op.add_column("sessions", sa.Column("name", UnicodeString, nullable=True))
    op.add_column("sessions", sa.Column("scopes", sa.JSON(), nullable=True))
    op.create_index("ix_sessions_token_hash", "sessions", ["token_hash"], unique=True)


def downgrade() -> None:
    # To the version before they would be sessions that nobody has opened.
    op.execute("DELETE FROM sessions WHERE token_hash IS NOT NULL")
    op.drop_index("ix_sessions_token_hash", "sessions")
    with op.batch_alter_table("sessions") as batch:
        batch.drop_column("scopes")
        batch.drop_column("name")
        batch.drop_column("token_hash")
