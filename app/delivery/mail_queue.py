"""The queue of mails. A lease lets one process at a time send a mail."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, case, delete, func, select, update
from sqlmodel import col
from sqlmodel import select as select_entity
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database.engines import Database
from app.delivery import leases
from app.storage.queries import may_have_address
from models import Mail, MailPurpose, User
from models.columns import now
from models.mail import ERROR_LENGTH
from models.user import address_key


class MailStatus(NamedTuple):
    """How many mails of one purpose wait, since when, how many of them failed before and why, and how many never went.

    `given_up` counts those of the last days.
    """

    purpose: MailPurpose
    waiting: int
    since: datetime | None
    failing: int
    error: str
    given_up: int


class MailQueue:
    """The mails that wait. Every method that takes a claimed mail raises `LeaseLost` if the lease was lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int, lease: timedelta) -> list[Mail]:
        """Claim and return mails that are due."""
        due = select_entity(Mail).where(col(Mail.due_at) <= now()).order_by(col(Mail.due_at)).limit(limit)
        return await leases.claim(self._database, await leases.read_due(self._database, due), lease)

    async def recipient(self, mail: Mail) -> User | None:
        """Return the user whom the mail is for, or `None` if it has become pointless since it was queued."""
        is_theirs = may_have_address(mail.address) if mail.user_id is None else col(User.id) == mail.user_id
        async with AsyncSession(self._database.reader) as session:
            users = (await session.exec(select_entity(User).where(is_theirs, col(User.disabled_at).is_(None)))).all()
        # Two old accounts may have addresses that differ in case only: then the one that was named.
        users = sorted(users, key=lambda user: user.email != mail.address)
        return next((user for user in users if _is_due_to(mail, user)), None)

    async def remove(self, mail: Mail) -> None:
        """Remove a mail that was sent, or has become pointless."""
        async with leases.renewed(self._database, mail, now()) as connection:
            await connection.execute(delete(Mail).where(col(Mail.id) == mail.id))

    async def failed(self, mail: Mail, error: str, retry_at: datetime) -> None:
        """Store that an attempt failed, and retry it at `retry_at`."""
        values = {"attempts": mail.attempts + 1, "error": error[:ERROR_LENGTH]}
        async with leases.renewed(self._database, mail, retry_at, **values):
            pass

    async def give_up(self, mail: Mail, error: str) -> None:
        """Store that the mail will not be sent, and forget its address."""
        values = {"attempts": mail.attempts + 1, "error": error[:ERROR_LENGTH], "address": "", "given_up_at": now()}
        async with leases.renewed(self._database, mail, now(), **values) as connection:
            await connection.execute(update(Mail).where(col(Mail.id) == mail.id).values(due_at=None))

    async def status(self) -> list[MailStatus]:
        """Return the state of the queue for each purpose."""
        waits = col(Mail.due_at).is_not(None)
        statement = select(
            col(Mail.purpose),
            _count(waits),
            func.min(case((waits, col(Mail.created_at)))),
            _count(waits & (col(Mail.attempts) > 0)),
            func.coalesce(func.max(case((waits, col(Mail.error)))), ""),
            _count(col(Mail.given_up_at).is_not(None)),
        ).group_by(col(Mail.purpose))
        rows = {row[0]: MailStatus(MailPurpose(row[0]), *row[1:]) for row in await self._database.rows(statement)}
        return [rows.get(purpose) or MailStatus(purpose, 0, None, 0, "", 0) for purpose in MailPurpose]


def _is_due_to(mail: Mail, user: User) -> bool:
    if mail.user_id is None:
        return address_key(user.email) == address_key(mail.address)
    if mail.purpose == MailPurpose.VERIFY_EMAIL:
        return user.email == mail.address and user.email_verified_at is None
    if mail.purpose == MailPurpose.CONFIRM_EMAIL:
        versions = (mail.password_version, mail.email_version)
        return versions == (user.password_version, user.email_version)
    return True


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))
