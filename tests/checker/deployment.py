"""A deployment of the service, and the ways to break it."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.e2e.server import Server, free_port, migrate
from tests.redis_server import RedisServer, redis_server
from tests.services import MARIADB, fresh_mariadb_database

SIZES = ["SQLite x 1", "MariaDB x 4", "MariaDB + Redis x 4"]


class Deployment:
    """Some processes on one port, their database, and perhaps a Redis."""

    def __init__(
        self, folder: Path, app: str, *, settings: dict[str, str], redis: RedisServer | None, database: URL | None
    ) -> None:
        self._folder = folder
        self._app = f"tests.checker.recording_app:{app}"
        self._workers = 1 if database is None else 4
        self._notes = folder / "notes"
        self._settings = settings | {"NOTES": str(self._notes)}
        self._redis = redis
        self._database = database
        self._port = free_port()
        self._said = ""
        self._server = self._start()
        self.faults: dict[str, Callable[[], None]] = {"every process is killed": self._kill_all}
        if self._workers > 1:
            self.faults["one process is killed"] = self._kill_one
        if database is not None:
            self.faults["connections to the database are cut"] = self._cut_connections
        if redis is not None:
            self.faults["Redis is paused"] = self._pause_redis
            self.faults["Redis is killed"] = self._kill_redis

    @property
    def url(self) -> str:
        return self._server.url

    def output(self) -> str:
        return self._said + self._server.output()

    def notes(self) -> dict[str, list[int]]:
        """Return the versions that the durable listener was given of each user."""
        found: defaultdict[str, list[int]] = defaultdict(list)
        for line in self._notes.read_text().splitlines() if self._notes.exists() else []:
            user_id, version = line.split()
            found[user_id].append(int(version))
        return found

    def stop(self) -> None:
        self._server.kill()
        self._said += self._server.output()
        self._server.stop()

    def _start(self) -> Server:
        return Server(self._folder, self._port, self._workers, self._settings, self._app).wait_until_ready()

    def _kill_all(self) -> None:
        self.stop()
        self._server = self._start()

    def _kill_one(self) -> None:
        """Kill one worker; the process that started it starts another."""
        parent = self._server.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        workers = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        if workers:
            os.kill(workers[0], signal.SIGKILL)

    def _cut_connections(self) -> None:
        asyncio.run(_cut_connections(self._database))

    def _pause_redis(self) -> None:
        assert self._redis is not None
        self._redis.pause()
        time.sleep(1)
        self._redis.resume()

    def _kill_redis(self) -> None:
        assert self._redis is not None
        self._redis.ask("SAVE")
        time.sleep(0.3)
        self._redis.kill()
        time.sleep(0.3)
        self._redis.start()


@contextmanager
def deployed(size: str, folder: Path, *, app: str = "create_app") -> Iterator[Deployment]:
    """Start the service in this size, from one of the functions of `recording_app`."""
    with ExitStack() as stack:
        settings: dict[str, str] = {}
        redis, url = None, None
        if size != "SQLite x 1":
            url = stack.enter_context(fresh_mariadb_database())
            settings["DATABASE_URL"] = url.render_as_string(hide_password=False)
            migrate(folder, **settings)
        if "Redis" in size:
            redis = stack.enter_context(redis_server(folder))
            settings["REDIS_URL"] = redis.url
        deployment = Deployment(folder, app, settings=settings, redis=redis, database=url)
        stack.callback(deployment.stop)
        yield deployment


async def _cut_connections(url: URL | None) -> None:
    assert url is not None
    engine = create_async_engine(MARIADB.set(database="information_schema"))
    try:
        async with engine.connect() as connection:
            found = await connection.execute(text("SELECT id FROM processlist WHERE db = :db"), {"db": url.database})
            for connection_id in found.scalars().all():
                await connection.execute(text(f"KILL {int(connection_id)}"))
    except Exception:  # noqa: BLE001, S110 - a connection that ended by itself meanwhile can't be cut
        pass
    finally:
        await engine.dispose()
