"""Who knows a user's timeline version: this process's memory, or the database."""

from typing import Protocol
from uuid import UUID


class Timelines(Protocol):
    """Answers, for each authenticated request: is the session alive, and at which version is its user's timeline?"""

    async def version(self, user_id: UUID, session_id: UUID) -> int | None:
        """Return the version of the user's timeline, or `None` if the session is not theirs, has ended or expired.

        The answer is never older than the newest change or revocation that was acknowledged before the call.
        """
        ...
