"""Timeline versions from the database, for any number of processes on MySQL or MariaDB."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from typing_extensions import override

from app.batching import Batching
from app.database.driver_pool import DriverPool
from app.ports.timelines import Timelines

# While one statement is under way, the results of others are used: that hides the latency of a distant server.
_MAX_CONCURRENT_STATEMENTS = 4

# It is filled with hexadecimal digits and a time only, so nothing has to be escaped, whatever `sql_mode` says.
_STATEMENT = """
SELECT sessions.id, sessions.user_id, users.timeline_version
FROM sessions JOIN users ON users.id = sessions.user_id
WHERE sessions.id IN ({ids}) AND sessions.expires_at > '{now:%Y-%m-%d %H:%M:%S.%f}'
"""


class DatabaseTimelines(Timelines):
    """Reads the user's row for each call; concurrent calls share one statement.

    A statement is sent after its calls were made, and in autocommit it is a snapshot of its own. So no answer is older
    than a commit that was acknowledged before the call.
    """

    def __init__(self, pool: DriverPool) -> None:
        self._pool = pool
        self._read_coalesced = Batching(self._read, max_concurrent=_MAX_CONCURRENT_STATEMENTS)

    @override
    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        return await self._read_coalesced((user_id, session_id))

    async def _read(self, asked: Sequence[tuple[UUID, UUID]]) -> list[int | None]:
        ids = ",".join({f"x'{session_id.hex}'" for _, session_id in asked})
        rows = await self._pool.rows(_STATEMENT.format(ids=ids, now=datetime.now(UTC)))
        versions: dict[tuple[bytes, bytes], int] = {(user, session): version for session, user, version in rows}
        return [versions.get((user_id.bytes, session_id.bytes)) for user_id, session_id in asked]
