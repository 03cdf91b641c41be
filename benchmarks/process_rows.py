"""Rows about the process itself: how it starts, hashes passwords and delivers webhooks."""

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from time import monotonic

import httpx

from benchmarks import contenders
from benchmarks.bench import Bench, Comparison
from benchmarks.contenders import PASSWORD, ROOT, TEXT, Contender
from benchmarks.measuring import CONNECTIONS, MIB, printed, rate, sent
from benchmarks.usage import Usage, bounds, watched
from benchmarks.webhook_receiver import receiving
from tests import memory

_EVENTS = 1000
_BATCH = 100
_LARGE_MIB = 4


def idle(bench: Bench) -> list[Comparison]:
    """Measure a start with a database that is there already, and the memory of the process that has just started."""
    ours_in, theirs_in = bench.folder(), bench.folder()
    resident: dict[str, list[float]] = {"ours": [], "theirs": []}

    def seconds(name: str, start: Callable[[], AbstractContextManager[tuple[int, float]]]) -> float:
        with start() as (process, until_ready):
            resident[name].append(memory.resident(process) / MIB)
            return until_ready

    times = bench.alternate(
        {
            "ours": partial(seconds, "ours", partial(contenders.starting_postline, ours_in)),
            "theirs": partial(seconds, "theirs", partial(contenders.starting_models_only, theirs_in)),
        }
    )
    began_at = monotonic()
    subprocess.run([sys.executable, "-c", "import app.application"], cwd=ROOT, check=True, timeout=60)
    import_seconds = monotonic() - began_at
    packages: dict[str, float] = json.loads(printed("imports_only"))
    largest = ", ".join(f"{name} {mib:.0f}" for name, mib in packages.items() if mib >= _LARGE_MIB)
    remark = (
        f"to import the service's modules, without anything else, takes {import_seconds:.2f} s and "
        f"{sum(packages.values()):.0f} MiB ({largest}, and the rest in parts below {_LARGE_MIB} MiB)."
    )
    against = "bare Litestar with the same models"
    # The first start, which creates the database, is the warm-up.
    ours, theirs = resident["ours"][1:], resident["theirs"][1:]
    return [
        Comparison(work, against, goal, *measured, unit, is_limit=True, remark=remark)
        for work, goal, measured, unit in (
            ("idle process, memory after start", 1.3, (ours, theirs), "MiB"),
            ("time from start to ready", 1.5, (times["ours"], times["theirs"]), "s"),
        )
    ]


def passwords(bench: Bench) -> list[Comparison]:
    """Measure sign-ups and log-ins, beside the hashing that each of them takes."""
    # All of it comes from one client address, which may have half of the queue.
    roomy = {"PASSWORD_QUEUE_LIMIT": str(10 * CONNECTIONS)}
    ours = bench.stack.enter_context(contenders.postline(bench.folder(), settings=roomy))
    numbers = itertools.count()
    signing_up: list[Usage] = []
    logging_in: list[Usage] = []
    rates = bench.alternate(
        {
            "sign-up": watched(ours.process, partial(_sign_ups, bench, ours, numbers), signing_up),
            "log-in": watched(ours.process, partial(_log_ins, bench, ours), logging_in),
            "hash": lambda: float(printed("bare_hash", str(bench.seconds))),
        }
    )
    return [
        Comparison(
            f"{work}, default Argon2 cost", "bare hash", None, rates[name], rates["hash"], "hashes/s", remark=remark
        )
        for work, name, remark in (
            ("POST /auth/signup", "sign-up", bounds(signing_up)),
            ("POST /auth/login", "log-in", bounds(logging_in)),
        )
    ]


def webhooks(bench: Bench) -> list[Comparison]:
    """Measure the delivery of a thousand changes to a receiver that answers at once."""
    receiver = bench.stack.enter_context(receiving())
    settings = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1/32"}
    ours = bench.stack.enter_context(contenders.postline(bench.folder(), settings=settings))
    account = ours.accounts[0]
    with httpx.Client(base_url=ours.url, headers=account.adding.headers, timeout=60) as client:
        created = client.post("/webhooks", json={"url": receiver.url, "events": ["post.created"]}).raise_for_status()
        batch = sent(account.adding, "/posts/batch", operations=[{"op": "create", "text": TEXT}] * _BATCH)
        for _ in range(_EVENTS // _BATCH):
            client.post(batch.url, content=batch.body).raise_for_status()
        receiver.wait_for(_EVENTS)

        def redeliver() -> float:
            receiver.reset()
            started_at = monotonic()
            client.post(f"/webhooks/{created.json()['id']}/redeliver", json={"after": 0}).raise_for_status()
            receiver.wait_for(_EVENTS)
            return _EVENTS / (receiver.last_at - started_at)

        usages: list[Usage] = []
        rates = bench.alternate(
            {
                "ours": watched(ours.process, redeliver, usages),
                "loop": lambda: float(printed("webhook_loop", receiver.url, str(_EVENTS), receiver.body)),
            }
        )
    return [
        Comparison(
            "1,000 events to one webhook",
            "httpcore in a loop",
            0.5,
            rates["ours"],
            rates["loop"],
            "requests/s",
            remark=bounds(usages),
        )
    ]


def _log_ins(bench: Bench, contender: Contender) -> float:
    """Return the log-ins a second, once none is left that would disturb what is measured next."""
    done = rate(bench, contender.logging_in)
    last = contender.logging_in[0]
    httpx.post(last.url, headers=last.headers, content=last.body, timeout=60).raise_for_status()
    return done


def _sign_ups(bench: Bench, contender: Contender, numbers: "itertools.count[int]") -> float:
    """Return the sign-ups a second."""
    deadline = monotonic() + bench.seconds

    async def sign_up_again_and_again(client: httpx.AsyncClient) -> int:
        count = 0
        while monotonic() < deadline:
            body = {"email": f"grace{next(numbers)}@example.com", "password": PASSWORD}
            (await client.post(f"{contender.url}/auth/signup", json=body)).raise_for_status()
            count += 1
        return count

    async def sign_up_together() -> int:
        async with httpx.AsyncClient(timeout=60) as client:
            return sum(await asyncio.gather(*(sign_up_again_and_again(client) for _ in range(CONNECTIONS))))

    started_at = monotonic()
    count = asyncio.run(sign_up_together())
    return count / (monotonic() - started_at)
