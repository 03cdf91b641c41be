"""The offline-first client of docs/sync.md, on a connection that breaks, beside other devices on the same account.

A run is a random sequence of what people do, which its seed decides. After each part of it the phones' copies must be
the server's list, and the server's history must hold each change that a device was told of, once, and no other.
`SYNC_SEEDS` says how many seeds are run, `SYNC_SEED` which is the first.
"""

import os
import re
from collections.abc import Iterator

import pytest

from tests.e2e.server import ROOT, free_port
from tests.e2e.sync_devices import Devices, Stage, devices_of
from tests.e2e.sync_phone import PROGRAMS

SEEDS = int(os.environ.get("SYNC_SEEDS", "3"))
FIRST_SEED = int(os.environ.get("SYNC_SEED", "120"))
PARTS = 4
ACTIONS = 8
CUTS = 10
POLICIES = ["both", "mine", "theirs"]
# To start the service again takes longer than all the rest, so it is killed in every fourth run.
KILL_EVERY = 4


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("client"), free_port())
    try:
        yield stage
    finally:
        stage.stop()


@pytest.mark.parametrize("policy", POLICIES)
def test_conflicts_are_resolved_as_the_policy_says(stage: Stage, policy: str) -> None:
    with devices_of(stage, 0, policy=policy) as devices:
        account, (phone,) = devices.account, devices.phones
        both_edit, mine_deleted, theirs_deleted = account.add(), account.add(), account.add()
        devices.assert_agree()
        shown = {post["postID"]: post for post in phone.shown()}
        phone.go_offline()

        for post_id in (both_edit, theirs_deleted):
            devices.change(phone, f"{shown[post_id]['text']}\nfrom the phone: {post_id}", shown[post_id])
        devices.change(phone, None, shown[mine_deleted])
        _, posts = account.posts()
        account.edit(posts[both_edit])
        account.edit(posts[mine_deleted])
        account.delete(posts[theirs_deleted])
        (seen,) = devices.assert_agree()

        _, posts = account.posts()
        assert seen["conflicts"] >= 2
        assert (mine_deleted in posts) == (policy != "mine")
        has_mine = [post for post in posts.values() if f"from the phone: {both_edit}" in post["text"]]
        assert [post["postID"] == both_edit for post in has_mine] == {"both": [False], "mine": [True], "theirs": []}[
            policy
        ]
        added_again = any(f"from the phone: {theirs_deleted}" in post["text"] for post in posts.values())
        assert added_again == (policy != "theirs")


def test_a_write_whose_answer_is_lost_happens_once(stage: Stage) -> None:
    with devices_of(stage, 1) as devices:
        (phone,) = devices.phones
        devices.assert_agree()
        phone.go_offline()

        devices.change(phone, devices.account.line())
        phone.tell("crash", saves=0, isStored=True)
        devices.change(phone, devices.account.line())
        phone.cuts.answers_to_lose = [b"201"]
        (seen,) = devices.assert_agree()

        assert seen["replays"] >= 1
        assert seen["crashes"] == 1
        assert len(devices.account.posts()[1]) == 2


def test_a_client_goes_on_after_a_connection_that_ended_unnoticed(stage: Stage) -> None:
    """A connection that ends as soon as it is made, before Node's `fetch` is ready: the fetch never ends."""
    with devices_of(stage, 2, timeout_ms=1000) as devices:
        (phone,) = devices.phones
        devices.change(phone, devices.account.line())
        devices.assert_agree()

        assert len(devices.account.posts()[1]) == 1


def test_a_client_whose_history_is_pruned_reads_the_list_again(stage: Stage) -> None:
    with devices_of(stage, 3) as devices:
        account, (phone,) = devices.account, devices.phones
        edited, deleted = account.add(), account.add()
        devices.assert_agree()
        phone.go_offline()

        _, posts = account.posts()
        account.edit(posts[edited])
        account.delete(posts[deleted])
        account.add()
        account.prune()
        (seen,) = devices.assert_agree()

        assert seen["gone"] >= 1


def test_a_client_that_is_ahead_of_a_restored_service_reads_the_list_again(stage: Stage) -> None:
    with devices_of(stage, 4) as devices:
        devices.account.add()
        devices.assert_agree()
        (phone,) = devices.phones
        phone.go_offline()

        phone.tell("restart", version=1000)
        (seen,) = devices.assert_agree(gone=1)

        assert seen["gone"] >= 1


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_after_any_interleaving_the_copies_are_what_the_server_has(stage: Stage, seed: int) -> None:
    with devices_of(stage, seed, phones=2, policy=POLICIES[seed % len(POLICIES)]) as devices:
        devices.assert_agree()
        for part in range(PARTS):
            _interleave(stage, devices, kills=part == 1 and seed % KILL_EVERY == 0, prunes=part == PARTS - 1)
            devices.assert_agree()


def _interleave(stage: Stage, devices: Devices, *, kills: bool, prunes: bool) -> None:
    choice = devices.account.random
    for phone in devices.phones:
        if choice.random() < 0.5:
            devices.acts.append(f"phone {devices.phones.index(phone)} goes offline")
            phone.go_offline(silently=choice.random() < 0.5)
        phone.cuts.left = CUTS
    for action in range(ACTIONS):
        if kills and action == ACTIONS // 2:
            devices.acts.append("the service is killed")
            stage.kill_and_restart()
        devices.act()
    if prunes:
        devices.acts.append("the history is pruned")
        devices.account.prune()


def test_the_recipe_quotes_the_program() -> None:
    quoted = re.findall(r"^```ts\n(.*?)^```", (ROOT / "docs/sync.md").read_text(), re.DOTALL | re.MULTILINE)
    program = (PROGRAMS / "sync.ts").read_text()

    assert quoted
    assert [code for code in quoted if dedented(code) not in dedented(program)] == []


def dedented(code: str) -> str:
    """Return the code without the indentation of its lines."""
    return "\n".join(line.strip() for line in code.splitlines())
