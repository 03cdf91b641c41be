"""How many posts each user has, how large they are together, and what bounds an operator has set.

Revision: f27a5d0c8b13, after e5b0c9d21f83
"""

import sqlalchemy as sa
from alembic import op

revision = "f27a5d0c8b13"
down_revision = "e5b0c9d21f83"
branch_labels = None
depends_on = None

_COUNTS = ("post_count", "post_bytes", "counted_version")
_BOUNDS = ("max_posts", "max_bytes", "max_webhooks")
_BATCH = 100

_users = sa.table(
    "users", sa.column("id", sa.LargeBinary), sa.column("timeline_version"), *(sa.column(name) for name in _COUNTS)
)
_posts = sa.table("posts", sa.column("user_id", sa.LargeBinary), sa.column("size", sa.Integer))


def upgrade() -> None:
    for name in _COUNTS:
        op.add_column("users", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    for name in _BOUNDS:
        op.add_column("users", sa.Column(name, sa.BigInteger(), nullable=True))
    are_theirs = _posts.c.user_id == _users.c.id
    counted = sa.update(_users).values(
        post_count=sa.select(sa.func.count()).where(are_theirs).scalar_subquery(),
        post_bytes=sa.select(sa.func.coalesce(sa.func.sum(_posts.c.size), 0)).where(are_theirs).scalar_subquery(),
        counted_version=_users.c.timeline_version,
    )
    connection = op.get_bind()
    # Locked before they are counted, because processes of the version before may be writing meanwhile.
    following = sa.select(_users.c.id).order_by(_users.c.id).limit(_BATCH).with_for_update()
    last_id = b""
    while ids := connection.execute(following.where(_users.c.id > last_id)).scalars().all():
        connection.execute(counted.where(_users.c.id.in_(ids)))
        last_id = ids[-1]
        if connection.dialect.name != "sqlite":
            # Nobody else waits for the locks of a batch for long. What was altered before is committed already.
            connection.commit()


def downgrade() -> None:
    with op.batch_alter_table("users") as batch:
        for name in (*_COUNTS, *_BOUNDS):
            batch.drop_column(name)
