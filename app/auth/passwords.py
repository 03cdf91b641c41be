"""Password hashing: slow on purpose, so it runs in threads of its own, with a bounded queue."""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from passlib.context import CryptContext
from typing_extensions import override

from app.errors import Overloaded
from app.ports.security import Passwords
from models.user import normalized

ResultT = TypeVar("ResultT")

_RETRY_AFTER_SECONDS = 2
_NICENESS = 10


class Argon2Passwords(Passwords):
    """Hashes with Argon2id, in a few threads of its own and with a queue of limited length.

    `pending` is the number of passwords that are being hashed or wait for it.
    """

    def __init__(self, *, memory_kib: int, iterations: int, parallelism: int, threads: int, queue_limit: int) -> None:
        self._context = CryptContext(
            schemes=["argon2"],
            argon2__type="ID",
            argon2__memory_cost=memory_kib,
            argon2__time_cost=iterations,
            argon2__parallelism=parallelism,
        )
        self._executor = ThreadPoolExecutor(
            max_workers=threads, thread_name_prefix="argon2", initializer=_lower_priority
        )
        self._limit = threads + queue_limit
        self.pending = 0
        self._hash_of_none = self._context.hash("a password that nobody has")

    @override
    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._context.hash(normalized(password)))

    @override
    async def verify(self, password: str, password_hash: str | None) -> bool:
        matches: bool = await self._run(
            lambda: self._context.verify(normalized(password), password_hash or self._hash_of_none)
        )
        return matches and password_hash is not None

    @override
    def is_outdated(self, password_hash: str) -> bool:
        return self._context.needs_update(password_hash)

    def close(self) -> None:
        """Wait for the running hashes, and end the threads."""
        self._executor.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], ResultT]) -> ResultT:
        if self.pending >= self._limit:
            raise Overloaded(
                "Too many sign-ups and log-ins are waiting.", headers={"Retry-After": str(_RETRY_AFTER_SECONDS)}
            )
        self.pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self.pending -= 1


def _lower_priority() -> None:
    # Short requests should not wait for a core behind hashing. Only Linux has priorities for threads.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
