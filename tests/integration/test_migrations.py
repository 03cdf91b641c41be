"""The schema's history, walked in both directions."""

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, inspect, select, text
from sqlmodel import SQLModel, col
from sqlmodel import select as select_entity
from uuid_utils.compat import uuid7

from app.database import schema
from app.database.engines import Database
from app.storage.policy import ListPolicy
from app.storage.queries import DatabaseQueries
from events.types import decode
from models import (
    Action,
    IdempotencyKey,
    LogIn,
    Mail,
    MailPurpose,
    OperatorAction,
    PostCreate,
    Session,
    User,
    Webhook,
    WebhookDelivery,
)
from models.columns import now
from tests.conftest import sqlite_url
from tests.factories import (
    InvitationFactory,
    PostFactory,
    SessionFactory,
    UserFactory,
    personal_token,
    stored_event,
)
from tests.services import fresh_mariadb_database

ROOT = Path(__file__).resolve().parents[2]
BEFORE_QUOTAS = "e5b0c9d21f83"


async def migrate(database: Database, step: Callable[..., None], revision: str) -> None:
    def run(connection: Connection) -> None:
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        step(config, revision)

    async with database.writer.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()


def on_fresh_database(kind: str, folder: Path, walk: Callable[[Database], Awaitable[None]]) -> None:
    """Run the function on a database without tables, which it closes."""

    async def run(url: URL) -> None:
        await walk(Database(url, pool_size=2))

    if kind == "sqlite":
        asyncio.run(run(sqlite_url(folder / "walk.db")))
    else:
        with fresh_mariadb_database() as url:
            asyncio.run(run(url))


def drift(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, SQLModel.metadata))


async def test_migrations_and_models_agree(database: Database) -> None:
    async with database.writer.connect() as connection:
        assert await connection.run_sync(drift) == []


async def test_a_migrated_database_is_current_and_migrating_again_changes_nothing(database: Database) -> None:
    assert await schema.is_current(database)

    await schema.upgrade(database)

    assert await schema.is_current(database)


def what_an_older_version_would_miss(migration: str) -> list[str]:
    """Return the calls in a migration's `upgrade` that leave the version before without something that it uses."""
    tree = ast.parse(migration)
    [upgrade] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"]
    found = []
    for node in ast.walk(upgrade):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        options = {keyword.arg: keyword.value for keyword in node.keywords}
        if node.func.attr in {"drop_table", "rename_table", "drop_column"} or "new_column_name" in options:
            found.append(ast.unparse(node))
        if node.func.attr == "add_column":
            [column] = [each for each in node.args if isinstance(each, ast.Call)]
            of_column = {keyword.arg: keyword.value for keyword in column.keywords}
            is_optional = ast.unparse(of_column.get("nullable", ast.Constant(value=True))) == "True"
            if not is_optional and "server_default" not in of_column:
                found.append(ast.unparse(node))
    return found


# Before these, every node was stopped for a migration.
STOPPED_FOR = {"4b7d1f60c9e2"}


def test_migrations_leave_the_version_before_what_it_uses() -> None:
    scripts = ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).walk_revisions(
        base="4b7d1f60c9e2", head="heads"
    )
    later = [script for script in scripts if script.revision not in STOPPED_FOR]

    assert {
        script.revision: missed
        for script in later
        if (missed := what_an_older_version_would_miss(Path(script.path).read_text()))
    } == {}


@pytest.mark.parametrize(
    "statement",
    [
        'op.drop_table("posts")',
        'op.rename_table("posts", "texts")',
        'op.drop_column("posts", "size")',
        'op.add_column("posts", sa.Column("size", sa.Integer(), nullable=False))',
        'op.alter_column("posts", "size", new_column_name="bytes")',
    ],
)
def test_what_a_rolling_upgrade_does_not_bear_is_found(statement: str) -> None:
    harmless = 'op.add_column("posts", sa.Column("a", sa.Integer(), nullable=True)); op.create_table("b")'
    assert what_an_older_version_would_miss(f"def upgrade():\n    {harmless}") == []
    assert what_an_older_version_would_miss(f"def upgrade():\n    if True:\n        {statement}") != []


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_migrations_go_down_to_nothing_and_up_again_with_rows_in_the_tables(kind: str, tmp_path: Path) -> None:
    async def walk(database: Database) -> None:
        assert not await schema.is_current(database)
        await migrate(database, command.upgrade, "head")
        user = UserFactory.build()
        async with database.writing() as session:
            session.add(user)
            await session.flush()
            session.add(PostFactory.build(user_id=user.id))
            # What an erased user has left.
            session.add(PostFactory.build(user_id=uuid7()))
            session.add(SessionFactory.build(user_id=user.id))
            session.add(personal_token(user.id))
            session.add(stored_event(user.id, version=1))
            invitation = InvitationFactory.build(used_by=user.id)
            session.add(invitation)
            session.add(OperatorAction(user_id=user.id, action=Action.CREATED, operator="olga"))
            session.add(OperatorAction(invitation_id=invitation.id, action=Action.INVITATION_CREATED, operator="olga"))
            await session.commit()

        await migrate(database, command.downgrade, "base")
        async with database.reading() as connection:
            tables = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert tables == ["alembic_version"]

        await migrate(database, command.upgrade, "head")
        assert await schema.is_current(database)
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_a_downgrade_drops_the_keys_that_the_version_before_can_not_hold_and_no_others(
    kind: str, tmp_path: Path
) -> None:
    kept, dropped = "k" * 254, "k" * 255

    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        user = UserFactory.build()
        async with database.writing() as session:
            session.add(user)
            await session.flush()
            for key in (kept, dropped):
                session.add(IdempotencyKey.of(user.id, key, PostCreate(text="hello"), uuid7()))
            await session.commit()

        await migrate(database, command.downgrade, "4b7d1f60c9e2")
        rows = await database.rows(select(col(IdempotencyKey.key), col(IdempotencyKey.user_id)))
        assert [tuple(row) for row in rows] == [(kept, user.id)]

        await migrate(database, command.upgrade, "head")
        rows = await database.rows(select(col(IdempotencyKey.key), col(IdempotencyKey.user_id)))
        assert [tuple(row) for row in rows] == [(kept, user.id)]
        async with database.writing() as session:
            session.add(IdempotencyKey.of(user.id, dropped, PostCreate(text="hello"), uuid7()))
            await session.commit()
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_every_account_from_before_addresses_had_keys_is_found_as_before(kind: str, tmp_path: Path) -> None:
    # Composed before they were lowered; two pairs differ in nothing but case.
    stored = ["t\u0308om@example.com", "\u1e97om@example.com", "\u03c7ς7@example.com", "\u03c7\u03c37@example.com"]
    stored += ["straße@example.com", "ada@example.com", "admin@nas.local", "ŉ" * 200 + "@example.com"]

    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "4b7d1f60c9e2")
        ids = [uuid7() for _ in stored]
        insert = text(
            "INSERT INTO users (id, email, password_hash, password_version, created_at, timeline_version)"
            " VALUES (:id, :email, :hash, 1, '2026-11-22 00:00:00', 0)"
        )
        for _ in range(2):
            async with database.writer.begin() as connection:
                for user_id, email in zip(ids, stored, strict=True):
                    await connection.execute(insert, {"id": user_id.bytes, "email": email, "hash": "h"})

            await migrate(database, command.upgrade, "head")

            queries = DatabaseQueries(database, ListPolicy())
            for user_id, email in zip(ids, stored, strict=True):
                found = await queries.passwords_of_address(LogIn(email=email, password="p").email)
                assert user_id in [password.user_id for password in found]
            both = await queries.passwords_of_address(LogIn(email="T\u0308OM@example.com", password="p").email)
            assert [password.user_id for password in both] == ids[:2]
            (one,) = await queries.passwords_of_address("strasse@example.com")
            assert one.user_id == ids[4]

            await migrate(database, command.downgrade, "4b7d1f60c9e2")
            async with database.writer.begin() as connection:
                emails = (await connection.execute(text("SELECT email FROM users ORDER BY id"))).scalars().all()
                assert emails == stored
                await connection.execute(text("DELETE FROM users"))
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_what_operators_did_to_users_outlasts_a_downgrade_to_before_invitations(kind: str, tmp_path: Path) -> None:
    user_id, invitation_id = uuid7(), uuid7()

    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        async with database.writing() as session:
            session.add(OperatorAction(user_id=user_id, action=Action.DELETED, operator="olga"))
            session.add(OperatorAction(invitation_id=invitation_id, action=Action.INVITATION_CREATED, operator="olga"))
            await session.commit()

        await migrate(database, command.downgrade, "c41a7e90b65d")
        await migrate(database, command.upgrade, "head")

        actions = await database.rows(select(col(OperatorAction.user_id), col(OperatorAction.invitation_id)))
        assert [tuple(action) for action in actions] == [(user_id, None)]
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_a_downgrade_past_mails_keeps_every_user_as_they_are(kind: str, tmp_path: Path) -> None:
    # One who has changed and verified their address, one who was disabled, and one of whom nothing is known.
    users = [
        UserFactory.build(email_verified_at=now(), email_version=3, password_version=2, timeline_version=7),
        UserFactory.build(disabled_at=now()),
        UserFactory.build(),
    ]
    kept = text(
        "SELECT id, email, email_key, password_hash, password_version, created_at, timeline_version, disabled_at"
        " FROM users ORDER BY id"
    )
    # On SQLite, the table of users is replaced, and what refers to it must not go with the old one.
    owned = [text(f"SELECT COUNT(*) FROM {table}") for table in ("posts", "sessions", "webhooks")]  # noqa: S608

    async def stored(database: Database) -> list[tuple[Any, ...]]:
        async with database.reading() as connection:
            return [tuple(row) for row in await connection.execute(kept)]

    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        async with database.writing() as session:
            session.add_all(users)
            await session.flush()
            for user in users:
                session.add(PostFactory.build(user_id=user.id))
                session.add(SessionFactory.build(user_id=user.id))
                session.add(Webhook(user_id=user.id, url="https://example.com/", events=[], since_version=0))
                session.add(Mail(purpose=MailPurpose.VERIFY_EMAIL, user_id=user.id, address=user.email))
            await session.commit()
        before = await stored(database)
        assert len(before) == len(users)

        await migrate(database, command.downgrade, "8d15c3e7a0f4")
        assert await stored(database) == before
        async with database.reading() as connection:
            assert [await connection.scalar(count) for count in owned] == [len(users)] * 3

        await migrate(database, command.upgrade, "head")
        assert await stored(database) == before
        rows = await database.rows(select(col(User.email_version), col(User.email_verified_at)))
        assert [tuple(row) for row in rows] == [(1, None)] * len(users)
        async with database.writing() as session:
            # What refers to a row goes with it again, on the connection that ran the migrations too.
            await session.delete(await session.get_one(User, users[0].id))
            await session.commit()
        async with database.reading() as connection:
            assert await connection.scalar(owned[1]) == len(users) - 1
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_what_users_had_before_quotas_is_counted(kind: str, tmp_path: Path) -> None:
    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        users = [UserFactory.build(timeline_version=7) for _ in range(120)]
        writer, *idle = users
        async with database.writing() as session:
            session.add_all(users)
            await session.flush()
            session.add(PostFactory.build(user_id=writer.id, position=1, text="🦆"))
            session.add(PostFactory.build(user_id=writer.id, position=2, text="abc"))
            await session.commit()
        await migrate(database, command.downgrade, BEFORE_QUOTAS)
        await migrate(database, command.upgrade, "head")

        counts = select(col(User.id), col(User.post_count), col(User.post_bytes), col(User.counted_version))
        rows = {row.id: tuple(row)[1:] for row in await database.rows(counts)}
        assert rows == {writer.id: (2, 7, 7)} | {user.id: (0, 0, 7) for user in idle}
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_a_downgrade_leaves_sessions_and_no_personal_token_that_would_look_like_one(kind: str, tmp_path: Path) -> None:
    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        user = UserFactory.build()
        log_in = SessionFactory.build(user_id=user.id)
        async with database.writing() as session:
            session.add(user)
            await session.flush()
            session.add_all([log_in, personal_token(user.id)])
            await session.commit()

        await migrate(database, command.downgrade, "c41a7e90b65d")
        assert [row.id for row in await database.rows(select(col(Session.id)))] == [log_in.id]

        await migrate(database, command.upgrade, "head")
        assert [tuple(row) for row in await database.rows(select(col(Session.id), col(Session.token_hash)))] == [
            (log_in.id, None)
        ]
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_keys_of_added_posts_outlast_a_downgrade_and_the_others_do_not(kind: str, tmp_path: Path) -> None:
    added, draft = uuid7(), PostCreate(text="hello")

    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        user = UserFactory.build()
        async with database.writing() as session:
            session.add(user)
            await session.flush()
            session.add(IdempotencyKey.of(user.id, "of a post", draft, added, timeline_version=1))
            session.add(IdempotencyKey.of(user.id, "of a batch", "POST /posts/batch", timeline_version=2, answer=b"{}"))
            await session.commit()

        await migrate(database, command.downgrade, "c41a7e90b65d")
        await migrate(database, command.upgrade, "head")

        async with database.writing() as session:
            (kept,) = (await session.exec(select_entity(IdempotencyKey))).all()
            assert (kept.key, kept.post_id, kept.timeline_version) == ("of a post", added, None)
            assert kept.is_of(draft)
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_webhooks_from_before_they_could_go_on_know_where_they_stopped(kind: str, tmp_path: Path) -> None:
    user, names = uuid7(), ("idle", "disabled", "forgotten")
    webhooks = {name: uuid7() for name in names}

    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "c41a7e90b65d")
        at = "2026-11-22 00:00:00"
        async with database.writer.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO users (id, email, password_hash, password_version, created_at, timeline_version)"
                    " VALUES (:id, 'ada@example.com', 'h', 1, :at, 30)"
                ),
                {"id": user.bytes, "at": at},
            )
            await connection.execute(
                text(
                    "INSERT INTO listener_progress (listener, user_id, version, attempts, error)"
                    " VALUES ('webhooks', :id, 30, 0, '')"
                ),
                {"id": user.bytes},
            )
            for name, webhook_id in webhooks.items():
                disabled = None if name == "idle" else at
                await connection.execute(
                    text(
                        "INSERT INTO webhooks (id, user_id, url, events, secret, since_version, created_at, attempts,"
                        " disabled_at) VALUES (:id, :user, 'https://example.com/', '[]', 's', 4, :at, 0, :disabled)"
                    ),
                    {"id": webhook_id.bytes, "user": user.bytes, "at": at, "disabled": disabled},
                )
            for version, status in ((9, "delivered"), (12, "failed"), (13, "failed")):
                await connection.execute(
                    text(
                        "INSERT INTO webhook_deliveries (webhook_id, version, type, post_id, occurred_at, status,"
                        " attempts, created_at) VALUES (:id, :version, 'post.created', :id, :at, :status, 1, :at)"
                    ),
                    {"id": webhooks["disabled"].bytes, "version": version, "status": status, "at": at},
                )

        await migrate(database, command.upgrade, "head")

        rows = await database.rows(select(col(Webhook.id), col(Webhook.delivered_version)))
        reached = {row.id: row.delivered_version for row in rows}
        assert [reached[webhooks[name]] for name in names] == [30, 11, 4]

        async with database.writing() as session:
            session.add(Webhook(url="https://example.com/"))
            await session.commit()
        await migrate(database, command.downgrade, "c41a7e90b65d")
        kept = await database.rows(select(col(Webhook.id)))
        assert {webhook_id for (webhook_id,) in kept} == set(webhooks.values())
        await database.close()

    on_fresh_database(kind, tmp_path, walk)


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_a_downgrade_keeps_users_webhooks_and_drops_the_operators_and_tests(kind: str, tmp_path: Path) -> None:
    async def walk(database: Database) -> None:
        await migrate(database, command.upgrade, "head")
        user = UserFactory.build(timeline_version=1)
        own = Webhook(user_id=user.id, url="https://example.com/", events=["post.created"])
        operators = Webhook(url="https://example.com/", events=["post.created"])
        event = decode(stored_event(user.id, version=1).payload)
        async with database.writing() as session:
            session.add(user)
            await session.flush()
            session.add_all([own, operators])
            session.add_all([WebhookDelivery.of(own, event), WebhookDelivery.test_of(own)])
            session.add(WebhookDelivery.of_anybody(operators, event, 1))
            session.add(Mail(purpose=MailPurpose.PASSWORD_CHANGED, user_id=user.id, address=user.email))
            await session.commit()

        await migrate(database, command.downgrade, "c41a7e90b65d")
        await migrate(database, command.upgrade, "head")

        async with database.writing() as session:
            (kept,) = (await session.exec(select_entity(Webhook))).all()
            (delivery,) = (await session.exec(select_entity(WebhookDelivery))).all()
            (mail,) = (await session.exec(select_entity(Mail))).all()
            assert (kept.id, kept.user_id, kept.secret) == (own.id, user.id, own.secret)
            assert (delivery.webhook_id, delivery.version, delivery.user_id) == (own.id, 1, None)
            assert mail.user_id == user.id
        await database.close()

    on_fresh_database(kind, tmp_path, walk)
