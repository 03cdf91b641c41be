"""What versions and sessions are looked up by."""

from datetime import timedelta

from app.database.engines import Database
from app.timelines.queries import TimelineQueries
from models.columns import now
from tests.factories import SessionFactory, UserFactory


async def test_live_sessions_are_found_and_expired_ones_left_out(database: Database) -> None:
    ada, bob = UserFactory.build(timeline_version=7), UserFactory.build()
    live = [SessionFactory.build(user_id=ada.id) for _ in range(2)]
    expired = [SessionFactory.build(user_id=user.id, expires_at=now() - timedelta(seconds=1)) for user in (ada, bob)]
    async with database.writing() as session:
        session.add_all([ada, bob])
        await session.flush()
        session.add_all([*live, *expired])
        await session.commit()
    reads = TimelineQueries(database)

    assert await reads.state(ada.id) == (7, {each.id: each.expires_at for each in live})
    assert await reads.state(bob.id) == (0, {})
    assert await reads.fingerprints([ada.id, bob.id]) == {ada.id: (7, {each.id for each in live}), bob.id: (0, set())}
