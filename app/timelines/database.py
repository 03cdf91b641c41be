"""Timeline versions from the database, for any number of processes."""

from uuid import UUID

from typing_extensions import override

from app.ports.timelines import Timelines
from app.timelines.queries import TimelineQueries


class DatabaseTimelines(Timelines):
    """Reads the user's row for each call; concurrent calls share one statement."""

    def __init__(self, queries: TimelineQueries) -> None:
        self._queries = queries

    @override
    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        return await self._queries.live_version(user_id, session_id)
