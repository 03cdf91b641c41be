"""The whole service in this process, on both kinds of database."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from litestar import Litestar
from structlog.stdlib import ProcessorFormatter

from app.application import serve_over_http
from app.service import Policies, build_service
from app.settings import Settings
from app.timelines.other_processes import OtherProcesses
from events.types import PostEvent
from tests.api.people import Person


class Fired(list[PostEvent]):
    """The events that were published, oldest first; `take` also forgets them."""

    def take(self) -> list[tuple[str, int]]:
        taken: list[tuple[str, int]] = [(event.type, event.version) for event in self]
        self.clear()
        return taken


@pytest.fixture
def policies() -> Policies:
    """The service's own; a test that needs others is parametrised with them."""
    return Policies()


@pytest.fixture
def app(settings: Settings, policies: Policies) -> Litestar:
    return serve_over_http(build_service(settings, policies=policies))


@pytest.fixture
def fired(app: Litestar) -> Fired:
    heard = Fired()

    async def hear(event: PostEvent) -> None:
        heard.append(event)

    app.state.service.bus.subscribe(PostEvent, hear)
    return heard


class Log(StringIO):
    """What is logged; `take` also forgets it."""

    def take(self) -> str:
        written = self.getvalue()
        self.seek(0)
        self.truncate()
        return written

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.take().splitlines()]


@pytest.fixture
def log(app: Litestar) -> Log:
    """What the application logs, from now on."""
    (handler,) = (
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.formatter, ProcessorFormatter)
    )
    handler.setStream(log := Log())
    return log


@asynccontextmanager
async def serve(app: Litestar) -> AsyncIterator[AsyncClient]:
    """Run the application in this event loop, and yield a client of it."""
    started, stopping = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stopping.wait()

    # In a task of its own: a fixture is set up and torn down in two, and the lifespan must end where it began.
    life = asyncio.create_task(live())
    started_or_failed = asyncio.create_task(started.wait())
    await asyncio.wait({life, started_or_failed}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if started.is_set():
            async with AsyncClient(transport=ASGITransport(app), base_url="http://postline") as client:  # type: ignore[arg-type]
                yield client
    finally:
        stopping.set()
        started_or_failed.cancel()
        await life


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[AsyncClient]:
    async with serve(app) as client:
        # The first look for commits of other processes forgets what is known: not in the middle of a test.
        for task in app.state.service.background:
            if isinstance(task, OtherProcesses):
                await task.tick()
        yield client


@pytest.fixture
async def ada(client: AsyncClient) -> Person:
    return await Person.sign_up(client, "ada@example.com")


@pytest.fixture
async def bob(client: AsyncClient) -> Person:
    return await Person.sign_up(client, "bob@example.com")
