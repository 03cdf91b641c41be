"""Password hashing: slow on purpose, so it runs in threads of its own, with a bounded queue."""

import asyncio
import math
import os
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from passlib.context import CryptContext
from typing_extensions import override

from app.database import faults
from app.ports.security import Passwords
from app.shares import Share
from models.user import normalized

ResultT = TypeVar("ResultT")

_NICENESS = 10
_LOOK_UP_SECONDS = 3600
_RETRY_SECONDS = 60

_PARAMETERS = re.compile(r"\$argon2(?:id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+\$")
# A salt and a hash that no password is known for.
_OF_NOBODY = f"{'A' * 22}${'A' * 43}"


class Argon2Passwords(Passwords):
    """Hashes with Argon2id, in a few threads of its own and with a queue of limited length.

    `share` holds the passwords that are being hashed or wait for it, at most `queue_share` of one key.

    A verification hashes once with each set of parameters that stored hashes have, so that its time tells neither how
    old an account is nor whether there is one. `stored_parameters` looks these sets up, at most once an hour.
    """

    def __init__(
        self,
        *,
        memory_kib: int,
        iterations: int,
        parallelism: int,
        threads: int,
        queue_limit: int,
        queue_share: int | None = None,
        stored_parameters: Callable[[], Awaitable[Collection[str]]] | None = None,
    ) -> None:
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
        limit = threads + queue_limit
        self.share = Share("password hashes", per_key=min(limit, queue_share or max(1, limit // 2)), total=limit)
        self._current = f"$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}$"
        self._in_use = {self._current}
        self._stored_parameters = stored_parameters
        self._look_up_at = -math.inf
        self._looking_up = asyncio.Lock()

    @override
    async def hash(self, password: str, by: Hashable) -> str:
        return await self._run(lambda: self._context.hash(normalized(password)), by)

    @override
    async def verify(self, password: str, password_hash: str | None, by: Hashable) -> bool:
        await self._look_up_parameters()
        hashes = {parameters: f"{parameters}{_OF_NOBODY}" for parameters in self._in_use}
        if password_hash is not None:
            found = _PARAMETERS.match(password_hash)
            own = found[0] if found else self._current
            # Nobody may have told us yet: then the next unknown address takes this long too.
            self._in_use.add(own)
            hashes[own] = password_hash
        return await self._run(
            lambda: password_hash in [each for each in hashes.values() if self._matches(password, each)], by
        )

    @override
    def is_outdated(self, password_hash: str) -> bool:
        return self._context.needs_update(password_hash)

    def close(self) -> None:
        """Wait for the running hashes, and end the threads."""
        self._executor.shutdown(cancel_futures=True)

    def _matches(self, password: str, password_hash: str) -> bool:
        return self._context.verify(normalized(password), password_hash)

    async def _look_up_parameters(self) -> None:
        if self._stored_parameters is None or time.monotonic() < self._look_up_at:
            return
        async with self._looking_up:
            if time.monotonic() < self._look_up_at:
                return
            try:
                stored = [_PARAMETERS.match(each) for each in await self._stored_parameters()]
                self._in_use = {self._current, *(found[0] for found in stored if found)}
                self._look_up_at = time.monotonic() + _LOOK_UP_SECONDS
            except faults.FAULTS:
                self._look_up_at = time.monotonic() + _RETRY_SECONDS

    async def _run(self, work: Callable[[], ResultT], by: Hashable) -> ResultT:
        with self.share.hold(by):
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _lower_priority() -> None:
    # Short requests should not wait for a core behind hashing. Only Linux has priorities for threads.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
