"""Redis, as something that may be away, hang, or come back empty or with old data at any moment."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, cast
from weakref import WeakKeyDictionary

from redis.asyncio.connection import AbstractConnection, BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

_MAX_CONNECTIONS = 50

_SET_EACH = """
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
return 1
"""

_SET_WHERE_EQUAL = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""

_DELETE_UNLESS_LIKE = """
for _, key in ipairs(KEYS) do
    local value = redis.call('GET', key)
    if value and (value == ARGV[1] or string.sub(value, 1, #ARGV[2]) ~= ARGV[2]) then redis.call('DEL', key) end
end
return 1
"""


class RedisUnavailable(Exception):
    """Redis did not answer in time, or is known to be away."""


class RedisLink:
    """Values under keys that live only as long as the Redis process that was given them.

    Only the server with the run id `server` is spoken to: one that was started again, from however old a snapshot, has
    another, as has one that took over from it. No call takes longer than `timeout` seconds. After one that failed, all
    fail at once, until `ping` succeeds: so it is up to a background task, and never to a request, to find out whether
    Redis is back. Lifetimes are in milliseconds.
    """

    def __init__(self, url: str, prefix: str, *, timeout: float) -> None:
        self._prefix = prefix
        self._timeout = timeout
        self._run_ids: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()
        self.pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=None,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._on_connect,
        )
        self.is_up = False
        self.server = ""

    async def ping(self) -> str | None:
        """Find out whether Redis answers, and return the run id of the server that does."""
        try:
            server = await self._call(None)
        except RedisUnavailable:
            return None
        self.is_up = True
        return cast("str", server)

    async def get(self, key: str) -> bytes | None:
        """Return the key's value, if it has one."""
        return cast("bytes | None", await self._execute(lambda run: ("GET", f"{run}:{key}")))

    async def set(self, keys: Collection[str], value: bytes, lifetime: int) -> None:
        """Give each of the keys a value, whatever it had before."""
        await self._execute(
            lambda run: ("EVAL", _SET_EACH, len(keys), *(f"{run}:{key}" for key in keys), value, lifetime)
        )

    async def add(self, key: str, value: bytes, lifetime: int) -> bool:
        """Give the key a value if it has none, and return whether it has this one now."""
        return await self._execute(lambda run: ("SET", f"{run}:{key}", value, "PX", lifetime, "NX")) is not None

    async def replace(self, key: str, old: bytes, new: bytes, lifetime: int) -> None:
        """Give the key a new value if it still has the old one."""
        await self._execute(lambda run: ("EVAL", _SET_WHERE_EQUAL, 1, f"{run}:{key}", old, new, lifetime))

    async def remove(self, keys: Collection[str], *, own: bytes, kind: bytes) -> None:
        """Take each of the keys' values away, unless it begins with `kind` and is not `own`."""
        await self._execute(
            lambda run: ("EVAL", _DELETE_UNLESS_LIKE, len(keys), *(f"{run}:{key}" for key in keys), own, kind)
        )

    def report_failure(self) -> None:
        """Treat Redis as away, because somebody else got no answer from it."""
        self.is_up = False

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.disconnect()

    async def _execute(self, command: Callable[[str], tuple[Any, ...]]) -> Any:
        if not self.is_up:
            raise RedisUnavailable
        return await self._call(command)

    async def _call(self, command: Callable[[str], tuple[Any, ...]] | None) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self.pool.get_connection()  # type: ignore[no-untyped-call]
                try:
                    server = self._run_ids[connection]
                    if command is None:
                        await connection.send_command("PING")
                        await connection.read_response()
                        return server
                    if server != self.server:
                        raise RedisError("another server answers")
                    await connection.send_command(*command(f"{self._prefix}:{server}"))
                    return await connection.read_response()
                except BaseException:
                    # An answer that comes later must not be taken for that of the next command.
                    await connection.disconnect(nowait=True)
                    raise
                finally:
                    await self.pool.release(connection)
        except (RedisError, OSError, TimeoutError) as error:
            self.is_up = False
            raise RedisUnavailable(type(error).__name__) from None

    async def _on_connect(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        answer = cast("bytes", await connection.read_response())
        for line in answer.decode().splitlines():
            if line.startswith("run_id:"):
                self._run_ids[connection] = line.removeprefix("run_id:")
                return
        raise RedisError("Redis does not tell its run id")
