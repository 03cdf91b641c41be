"""Export, import and export again: the same but for ids and user, whatever the posts are, on every database."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.database.engines import Database
from app.service import Policies, Service
from app.services.export_reader import ImportPolicy
from models import PostItem
from tests.integration.users import add_user
from tests.service import service_on

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)
# Few instants, so that posts share a millisecond, and some a microsecond.
MICROSECONDS = st.integers(0, 3000)


@st.composite
def posts(draw: st.DrawFn) -> list[PostItem]:
    ids = draw(st.lists(st.uuids(), max_size=12, unique=True))
    drawn = list[PostItem]()
    for post_id in ids:
        created_at = BEGIN + timedelta(microseconds=draw(MICROSECONDS))
        updated_at = created_at + timedelta(microseconds=draw(MICROSECONDS))
        drawn.append(PostItem(post_id, draw(TEXTS), created_at, updated_at, draw(st.integers(1, 2**31 - 1))))
    return drawn


async def export(service: Service, user_id: UUID) -> list[bytes]:
    return [line async for line in service.exports.encoded(user_id)]


async def in_pieces(lines: list[bytes], size: int) -> AsyncIterator[bytes]:
    content = b"".join(lines)
    for begin in range(0, len(content), size):
        yield content[begin : begin + size]


def without_ids(lines: list[bytes]) -> list[dict[str, Any]]:
    entries = map(json.loads, lines)
    return [{name: entry[name] for name in entry if name != "postID"} for entry in entries if "postID" in entry]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(written=posts(), batch=st.integers(1, 5), size=st.integers(1, 300))
async def test_a_round_trip_changes_ids_and_user_only(
    database: Database, written: list[PostItem], batch: int, size: int
) -> None:
    service = service_on(database, policies=Policies(imports=ImportPolicy(batch_posts=batch)))
    ada, bob, eve = [await add_user(service.transactions) for _ in range(3)]
    lines = [msgspec.json.encode(post) + b"\n" for post in written]
    await service.imports.run(ada, in_pieces(lines, size))
    exported = await export(service, ada)
    assert without_ids(exported) == without_ids(lines)

    answer = await service.imports.run(bob, in_pieces(exported, size))
    again = await service.imports.run(bob, in_pieces(exported, size))
    await service.imports.run(eve, in_pieces(await export(service, bob), size))

    assert tuple(answer) == (len(written), 0, len(written))
    assert tuple(again) == (0, len(written), len(written))
    assert without_ids(await export(service, bob)) == without_ids(lines)
    assert without_ids(await export(service, eve)) == without_ids(lines)
    events = await service.queries.events_after(bob, 0, 100)
    assert [(event.type, event.version) for event in events] == [
        ("post.created", version) for version in range(1, len(written) + 1)
    ]
