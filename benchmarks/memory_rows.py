"""Rows about memory: what large lists, posts, exports and imports take."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks import contenders
from benchmarks.bench import Bench, Comparison
from benchmarks.contenders import Account
from benchmarks.measuring import MIB, databases
from benchmarks.seeding import add_posts
from tests import memory

_LIMIT_MIB = 32
_CHUNK_BYTES = 256 * 1024
_LARGE_POSTS = 500
_LARGE_TEXT = "x" * 1_000_000


def large_list(bench: Bench) -> list[Comparison]:
    """Measure the memory that a list of 500 MB takes."""
    comparisons = []
    for name, database in databases(bench):
        ours = bench.stack.enter_context(contenders.postline(bench.folder(), database=database))
        account = ours.accounts[0]
        add_posts(database, account.email, _LARGE_POSTS, _LARGE_TEXT)
        before = memory.reset_peak(ours.process)
        for _ in range(3):
            with httpx.stream("GET", account.listing.url, headers=account.listing.headers, timeout=120) as answer:
                assert sum(len(part) for part in answer.iter_bytes()) > _LARGE_POSTS * len(_LARGE_TEXT)
        comparisons.append(_growth(f"memory for a list of 500 MB, {name}", ours.process, before))
    return comparisons


def transfer(bench: Bench) -> list[Comparison]:
    """Measure the memory that an export of 500 MB takes, and its import by another instance."""
    comparisons = []
    for (name, source), (_, destination) in zip(databases(bench), databases(bench), strict=True):
        exported = bench.folder() / "export.ndjson"
        exporting = bench.stack.enter_context(contenders.postline(bench.folder(), database=source))
        add_posts(source, exporting.accounts[0].email, _LARGE_POSTS, _LARGE_TEXT)
        before = memory.reset_peak(exporting.process)
        _export(exporting.url, exporting.accounts[0], exported)
        comparisons.append(_growth(f"memory for exporting 500 MB, {name}", exporting.process, before))

        importing = bench.stack.enter_context(contenders.postline(bench.folder(), database=destination))
        before = memory.reset_peak(importing.process)
        assert _import(importing.url, importing.accounts[0], exported) == _LARGE_POSTS
        comparisons.append(_growth(f"memory for importing 500 MB, {name}", importing.process, before))
        exported.unlink()
    return comparisons


def large_posts(bench: Bench) -> list[Comparison]:
    """Measure the memory that 32 concurrent posts of 1 MiB take."""
    ours = bench.stack.enter_context(contenders.postline(bench.folder()))
    text = "x" * (MIB - len('{"text":""}'))

    async def add_all() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            answers = await asyncio.gather(
                *(client.post(a.adding.url, headers=a.adding.headers, json={"text": text}) for a in ours.accounts)
            )
        assert {answer.status_code for answer in answers} == {201}

    before = memory.reset_peak(ours.process)
    for _ in range(3):
        asyncio.run(add_all())
    grown = (memory.peak(ours.process) - before) / MIB
    assert ours.count() == 3 * len(ours.accounts)
    size = float(len(ours.accounts))
    return [Comparison("memory for 32 posts of 1 MiB at once", "their size", 4, [grown], [size], "MiB", is_limit=True)]


def _growth(work: str, process: int, before: int) -> Comparison:
    grown = (memory.peak(process) - before) / MIB
    return Comparison(work, f"{_LIMIT_MIB} MiB", 1, [grown], [_LIMIT_MIB], "MiB", is_limit=True)


def _export(url: str, account: Account, path: Path) -> None:
    with (
        path.open("wb") as file,
        httpx.stream("GET", f"{url}/me/export", headers=account.listing.headers, timeout=300) as answer,
    ):
        answer.raise_for_status()
        for part in answer.iter_bytes():
            file.write(part)


def _import(url: str, account: Account, path: Path) -> int:
    """Return the number of posts that were created."""

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    headers = account.listing.headers | {"content-type": "application/x-ndjson"}
    answer = httpx.post(f"{url}/me/import", headers=headers, content=chunks(), timeout=300).raise_for_status()
    created: int = answer.json()["created"]
    return created
