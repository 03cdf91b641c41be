"""Who may sign up: everybody, who is invited, or nobody; and what the page and the document say of it."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient, Response
from openapi_spec_validator import validate

from app.application import serve_over_http
from app.service import Service, build_service
from app.services.invitations import InvitationService
from app.settings import Settings
from models import SignUpPolicy
from tests.api.conftest import serve
from tests.api.document import operations
from tests.api.people import PASSWORD, assert_problem

DAY = timedelta(days=1)
KEPT_DOCUMENT = Path(__file__).resolve().parents[2] / "docs/openapi.json"
POLICY = "urn:problem-type:postline:"


class World:
    """A service under one policy, and the operator who invites."""

    def __init__(self, service: Service, client: AsyncClient) -> None:
        self.client = client
        self.invitations = InvitationService(service.transactions, operator="olga")

    async def invite(self, email: str | None = None, lifetime: timedelta = DAY) -> str:
        _, code = await self.invitations.create(email, lifetime)
        return code

    async def sign_up(self, email: str = "ada@example.com", **more: Any) -> Response:
        return await self.client.post("/auth/signup", json={"email": email, "password": PASSWORD} | more)

    async def document(self) -> dict[str, Any]:
        document: dict[str, Any] = (await self.client.get("/openapi.json")).json()
        return document


@pytest.fixture
def policy(request: pytest.FixtureRequest) -> SignUpPolicy:
    return SignUpPolicy(request.param)


@pytest.fixture
async def world(settings: Settings, policy: SignUpPolicy) -> AsyncIterator[World]:
    service = build_service(settings.model_copy(update={"sign_up": policy}))
    async with serve(serve_over_http(service)) as client:
        yield World(service, client)


def under(*policies: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("policy", policies, indirect=True)


@under("closed")
async def test_where_sign_up_is_closed_nobody_signs_up(world: World) -> None:
    for answer in (await world.sign_up(), await world.sign_up(invite=await world.invite())):
        assert_problem(answer, 403)
        assert answer.json()["type"] == f"{POLICY}sign-up-closed"


@under("invite")
async def test_who_is_invited_signs_up_once(world: World) -> None:
    code = await world.invite()

    signed_up = await world.sign_up(invite=code)
    again = await world.sign_up("bob@example.com", invite=code)

    assert signed_up.status_code == 201
    headers = {"authorization": f"Bearer {signed_up.json()['access_token']}"}
    assert (await world.client.get("/me", headers=headers)).json()["email"] == "ada@example.com"
    assert_problem(again, 403)


@under("invite")
async def test_every_invitation_that_is_no_good_gets_one_answer(world: World) -> None:
    revoked_id, revoked = await world.invitations.create(None, DAY)
    await world.invitations.revoke(revoked_id)
    used = await world.invite()
    await world.sign_up("used@example.com", invite=used)
    no_good: dict[str, dict[str, Any]] = {
        "missing": {},
        "null": {"invite": None},
        "empty": {"invite": ""},
        "unknown": {"invite": "jbsw23dfmvzxs33smqqhg5dboruw63rb"},
        "used": {"invite": used},
        "expired": {"invite": await world.invite(lifetime=-DAY)},
        "revoked": {"invite": revoked},
        "another address": {"invite": await world.invite("bob@example.com")},
    }

    answers = {name: await world.sign_up(**fields) for name, fields in no_good.items()}
    answers["a taken address"] = await world.sign_up("used@example.com", invite=used)

    for answer in answers.values():
        assert_problem(answer, 403)
    assert {json.dumps(answer.json()) for answer in answers.values()} == {json.dumps(answers["unknown"].json())}
    assert answers["unknown"].json()["type"] == f"{POLICY}invalid-invite"


@under("invite")
async def test_a_taken_address_leaves_the_invitation_good(world: World) -> None:
    await world.sign_up(invite=await world.invite())
    code = await world.invite()

    assert_problem(await world.sign_up("Ada@example.com", invite=code), 409)
    assert (await world.sign_up("bob@example.com", invite=code)).status_code == 201


@under("invite")
async def test_a_code_may_be_typed_in_capitals(world: World) -> None:
    code = await world.invite("Grace@example.com")

    assert (await world.sign_up("GRACE@example.com", invite=f" {code.upper()} ")).status_code == 201


@under("invite")
@pytest.mark.parametrize("invite", [7, ["code"], "a\0b", "a" * 129])
async def test_what_is_no_code_at_all_is_invalid(world: World, invite: object) -> None:
    assert_problem(await world.sign_up(invite=invite), 400, "invite")


@under("open")
async def test_where_sign_up_is_open_an_invitation_is_ignored(world: World) -> None:
    assert (await world.sign_up(invite="unknown")).status_code == 201


@under("open", "invite", "closed")
async def test_the_page_knows_who_may_sign_up(world: World, policy: SignUpPolicy) -> None:
    page = await world.client.get("/")

    assert f'data-sign-up="{policy}"' in page.text
    assert page.text.count("data-sign-up") == 1


@under("open", "invite", "closed")
async def test_the_document_is_valid_and_says_what_sign_up_takes(world: World, policy: SignUpPolicy) -> None:
    document = await world.document()
    validate(document)
    operation = operations(document)["post", "/auth/signup"]
    form = document["components"]["schemas"]["SignUp"]
    (refusal,) = operation["responses"]["403"]["content"].values()

    assert ("invite" in form["required"]) is (policy is SignUpPolicy.INVITE)
    assert ("invitation" in operation["description"]) is (policy is SignUpPolicy.INVITE)
    assert ("no new accounts" in operation["description"]) is (policy is SignUpPolicy.CLOSED)
    kind = "sign-up-closed" if policy is SignUpPolicy.CLOSED else "invalid-invite"
    assert refusal["example"]["type"] == f"{POLICY}{kind}"


@under("invite")
async def test_the_documented_example_is_taken_but_for_its_code(world: World) -> None:
    operation = (await world.document())["paths"]["/auth/signup"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]

    assert (await world.client.post("/auth/signup", json=example)).json()["type"] == f"{POLICY}invalid-invite"
    assert (await world.sign_up(**example | {"invite": await world.invite()})).status_code == 201


@under("open", "invite", "closed")
async def test_no_policy_takes_anything_from_the_contract(world: World, policy: SignUpPolicy) -> None:
    """The routes, statuses and fields are those of the kept document, whatever the policy."""
    kept, document = json.loads(KEPT_DOCUMENT.read_text()), await world.document()

    assert document["paths"].keys() == kept["paths"].keys()
    signing_up, kept_signing_up = (each["paths"]["/auth/signup"]["post"] for each in (document, kept))
    assert signing_up["responses"].keys() >= kept_signing_up["responses"].keys()
    fields, kept_fields = (each["components"]["schemas"]["SignUp"]["properties"] for each in (document, kept))
    assert fields.keys() >= kept_fields.keys()
