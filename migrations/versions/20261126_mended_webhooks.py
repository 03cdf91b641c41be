"""Webhooks go on where they stopped, have two secrets for a while, and can be the operator's.

Revision: 5f0b82c9d3e7, after e3a8c05d7f12
"""

import sqlalchemy as sa
from alembic import op

from models.columns import UTCDateTime, UUIDBytes

revision = "5f0b82c9d3e7"
down_revision = "e3a8c05d7f12"
branch_labels = None
depends_on = None

_webhooks = sa.table(
    "webhooks",
    sa.column("id", UUIDBytes()),
    sa.column("user_id", UUIDBytes()),
    sa.column("since_version", sa.BigInteger()),
    sa.column("delivered_version", sa.BigInteger()),
    sa.column("due_at", UTCDateTime()),
    sa.column("disabled_at", UTCDateTime()),
    sa.column("attempts", sa.Integer()),
    sa.column("answers_quickly", sa.Boolean()),
)
_deliveries = sa.table(
    "webhook_deliveries",
    sa.column("webhook_id", UUIDBytes()),
    sa.column("version", sa.BigInteger()),
    sa.column("status", sa.String()),
)
_progress = sa.table(
    "listener_progress",
    sa.column("listener", sa.String()),
    sa.column("user_id", UUIDBytes()),
    sa.column("version", sa.BigInteger()),
)


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("previous_secret", sa.String(64), nullable=True))
    op.add_column("webhooks", sa.Column("previous_secret_until", UTCDateTime(), nullable=True))
    op.add_column("webhooks", sa.Column("delivered_version", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("webhooks", sa.Column("replay_after", sa.BigInteger(), nullable=True))
    op.add_column("webhooks", sa.Column("answers_quickly", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("webhook_deliveries", sa.Column("user_id", UUIDBytes(), nullable=True))
    op.add_column("webhook_deliveries", sa.Column("timeline_version", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_webhook_deliveries_user_id_timeline_version", "webhook_deliveries", ["user_id", "timeline_version"]
    )
    with op.batch_alter_table("webhooks") as batch:
        batch.alter_column("user_id", existing_type=UUIDBytes(), existing_nullable=False, nullable=True)
    _set_what_was_delivered()


def _set_what_was_delivered() -> None:
    of_webhook = _deliveries.c.webhook_id == _webhooks.c.id
    delivered = sa.select(sa.func.max(_deliveries.c.version)).where(of_webhook, _deliveries.c.status == "delivered")
    # Deliveries may have been pruned since; the first that failed is the one where the webhook stopped.
    failed = sa.select(sa.func.min(_deliveries.c.version) - 1).where(of_webhook, _deliveries.c.status == "failed")
    op.execute(
        _webhooks.update().values(
            delivered_version=sa.func.coalesce(
                failed.scalar_subquery(), delivered.scalar_subquery(), _webhooks.c.since_version
            ),
            answers_quickly=_webhooks.c.attempts == 0,
        )
    )
    # To a webhook without pending deliveries, everything was sent that the relay has queued.
    queued = sa.select(_progress.c.version).where(
        _progress.c.listener == "webhooks", _progress.c.user_id == _webhooks.c.user_id
    )
    is_idle = sa.and_(_webhooks.c.due_at.is_(None), _webhooks.c.disabled_at.is_(None))
    op.execute(
        _webhooks.update()
        .where(is_idle, queued.scalar_subquery() > _webhooks.c.delivered_version)
        .values(delivered_version=queued.scalar_subquery())
    )


def downgrade() -> None:
    # The version before knows no webhooks without a user, and no tests.
    operators = sa.select(_webhooks.c.id).where(_webhooks.c.user_id.is_(None))
    op.execute(_deliveries.delete().where(sa.or_(_deliveries.c.webhook_id.in_(operators), _deliveries.c.version == 0)))
    op.execute(_webhooks.delete().where(_webhooks.c.user_id.is_(None)))
    op.drop_index("ix_webhook_deliveries_user_id_timeline_version", table_name="webhook_deliveries")
    with op.batch_alter_table("webhook_deliveries") as batch:
        batch.drop_column("timeline_version")
        batch.drop_column("user_id")
    with op.batch_alter_table("webhooks") as batch:
        batch.alter_column("user_id", existing_type=UUIDBytes(), existing_nullable=True, nullable=False)
        batch.drop_column("answers_quickly")
        batch.drop_column("replay_after")
        batch.drop_column("delivered_version")
        batch.drop_column("previous_secret_until")
        batch.drop_column("previous_secret")
