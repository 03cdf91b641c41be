"""Access tokens: which ones open a route, and that all others get one and the same answer."""

import base64
import hmac
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import pytest
from httpx import AsyncClient
from pydantic import SecretStr
from uuid_utils.compat import uuid7

from app.application import create_app
from app.auth.keys import key_id
from app.settings import Settings
from tests.api.conftest import Fired, serve
from tests.api.document import operations
from tests.api.people import Person, assert_problem
from tests.conftest import SECRET

SOME_ID = "01a20544-8f6d-7250-9b81-05646f62c3bb"
DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "docs/openapi.json").read_text())
SECURED = [
    (method.upper(), re.sub(r"\{\w+\}", SOME_ID, path))
    for (method, path), operation in operations(DOCUMENT).items()
    if operation["security"] == [{"bearer": []}]
]


def claims_of(person: Person) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(person.tokens["access_token"], SECRET, algorithms=["HS256"])
    return claims


def signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm, headers={"kid": key_id(SECRET)})


async def get_posts(client: AsyncClient, authorization: str) -> int:
    response = await client.get("/posts", headers={"authorization": authorization})
    if response.status_code != 200:
        assert_problem(response, 401)
    return response.status_code


async def test_a_token_names_its_user_and_session_and_when_it_ends(ada: Person) -> None:
    claims = claims_of(ada)

    assert {"sub", "exp", "iat", "jti", "sid"} <= set(claims)
    assert claims["exp"] == pytest.approx(datetime.now(UTC).timestamp() + ada.tokens["expires_in"], abs=5)


async def test_a_new_token_is_good_on_a_node_whose_clock_is_behind(ada: Person) -> None:
    assert claims_of(ada)["iat"] <= datetime.now(UTC).timestamp() - 30


async def test_no_two_tokens_are_the_same(ada: Person) -> None:
    first = claims_of(ada)
    again = await ada.client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
    ada.tokens = again.json()

    assert claims_of(ada)["sid"] == first["sid"]
    assert claims_of(ada)["jti"] != first["jti"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_schemes_name_has_no_case(client: AsyncClient, ada: Person, scheme: str) -> None:
    assert await get_posts(client, f"{scheme} {ada.tokens['access_token']}") == 200


@pytest.mark.parametrize(("method", "path"), SECURED)
async def test_without_a_token_no_route_opens(client: AsyncClient, fired: Fired, method: str, path: str) -> None:
    response = await client.request(method, path)

    assert_problem(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert fired.take() == []


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Bearer é.ü.x"])
async def test_what_is_no_token_opens_nothing(client: AsyncClient, authorization: str) -> None:
    response = await client.get("/posts", headers=[(b"authorization", authorization.encode())])

    assert_problem(response, 401)


@pytest.mark.parametrize("scheme", ["Basic ", "Token ", "", "Bearer, "])
async def test_a_good_token_under_another_scheme_opens_nothing(client: AsyncClient, ada: Person, scheme: str) -> None:
    assert await get_posts(client, f"{scheme}{ada.tokens['access_token']}") == 401


async def test_the_same_claims_signed_here_do_open(client: AsyncClient, ada: Person) -> None:
    assert await get_posts(client, f"Bearer {signed(claims_of(ada))}") == 200


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 0},
        pytest.param({"exp": int(datetime.now(UTC).timestamp()) - 1}, id="expired a second ago"),
        {"exp": "soon"},
        {"exp": 10**30},
        {"iat": 10**11},
        {"iat": "now"},
        {"sub": "ada"},
        {"sub": ""},
        pytest.param({"sub": str(uuid7())}, id="of nobody"),
        {"sid": "x"},
        pytest.param({"sid": str(uuid7())}, id="of no session"),
        {"sid": None},
        {"nbf": 10**11},
    ],
    ids=str,
)
async def test_a_well_signed_token_with_a_wrong_claim_opens_nothing(
    client: AsyncClient, ada: Person, change: dict[str, Any]
) -> None:
    token = signed(claims_of(ada) | change) if change.get("sub") != "" else signed({**claims_of(ada), "sub": ""})

    assert await get_posts(client, f"Bearer {token}") == 401


@pytest.mark.parametrize("claim", ["sub", "exp", "iat", "jti", "sid"])
async def test_a_well_signed_token_that_lacks_a_claim_opens_nothing(
    client: AsyncClient, ada: Person, claim: str
) -> None:
    claims = claims_of(ada)
    del claims[claim]

    assert await get_posts(client, f"Bearer {signed(claims)}") == 401


async def test_a_token_signed_with_another_key_opens_nothing(client: AsyncClient, ada: Person) -> None:
    token = signed(claims_of(ada), "another secret that is just as long as the first")

    assert await get_posts(client, f"Bearer {token}") == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_a_token_of_another_algorithm_opens_nothing(client: AsyncClient, ada: Person, algorithm: str) -> None:
    token = signed(claims_of(ada), SECRET + "x" * 64, algorithm)

    assert await get_posts(client, f"Bearer {token}") == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "RS256"])
async def test_an_unsigned_token_opens_nothing(client: AsyncClient, ada: Person, algorithm: str) -> None:
    def encode(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    header, claims = encode({"alg": algorithm, "typ": "JWT", "kid": key_id(SECRET)}), encode(claims_of(ada))

    for signature in ("", "x", ada.tokens["access_token"].rpartition(".")[2]):
        assert await get_posts(client, f"Bearer {header}.{claims}.{signature}") == 401


async def test_a_tampered_payload_opens_nothing(client: AsyncClient, ada: Person, bob: Person) -> None:
    header, _, signature = ada.tokens["access_token"].split(".")
    payload = bob.tokens["access_token"].split(".")[1]

    assert await get_posts(client, f"Bearer {header}.{payload}.{signature}") == 401


async def test_a_session_opens_only_its_own_users_posts(client: AsyncClient, ada: Person, bob: Person) -> None:
    token = signed(claims_of(ada) | {"sub": claims_of(bob)["sub"], "jti": str(uuid4())})

    assert await get_posts(client, f"Bearer {token}") == 401


async def test_every_refused_token_gets_the_same_answer(client: AsyncClient, ada: Person) -> None:
    expired, foreign = signed(claims_of(ada) | {"exp": 0}), signed(claims_of(ada), "another secret of 32 characters!")

    answers = [
        (await client.get("/posts", headers={"authorization": authorization})).content
        for authorization in ("", "Basic x", "Bearer x", f"Bearer {expired}", f"Bearer {foreign}")
    ]

    assert len(set(answers)) == 1


@pytest.mark.parametrize(
    "header", [{}, {"kid": "other"}, {"kid": key_id("other")}, {"kid": ["a"]}, {"kid": 7}], ids=str
)
async def test_a_token_of_no_known_key_opens_nothing(client: AsyncClient, ada: Person, header: dict[str, Any]) -> None:
    def encode(part: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")

    body = encode({"alg": "HS256", "typ": "JWT"} | header) + b"." + encode(claims_of(ada))
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET.encode(), body, "sha256")).rstrip(b"=")

    assert await get_posts(client, f"Bearer {body.decode()}.{signature.decode()}") == 401


async def test_no_token_outlives_the_secret_that_signed_it(settings: Settings) -> None:
    async with serve(create_app(settings)) as client:
        tokens = (await Person.sign_up(client, "ada@example.com")).tokens

    replaced = settings.model_copy(update={"jwt_secret": SecretStr("another secret that is long enough to be taken")})
    async with serve(create_app(replaced)) as client:
        ada = Person(client, "ada@example.com", tokens)
        assert_problem(await ada.get("/me"), 401)
        assert_problem(await client.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]}), 401)


async def test_a_secret_can_be_replaced_without_logging_anyone_out(settings: Settings) -> None:
    async with serve(create_app(settings)) as client:
        ada = await Person.sign_up(client, "ada@example.com")

    new = SecretStr("a new secret that is long enough for all")
    rotated = settings.model_copy(update={"jwt_secret": new, "jwt_previous_secrets": (SecretStr(SECRET),)})
    async with serve(create_app(rotated)) as client:
        assert (await Person(client, "", ada.tokens).get("/posts")).status_code == 200
        renewed = await client.post("/auth/refresh", json={"refresh_token": ada.tokens["refresh_token"]})
        assert renewed.status_code == 200

    finished = settings.model_copy(update={"jwt_secret": new})
    async with serve(create_app(finished)) as client:
        assert (await Person(client, "", renewed.json()).get("/posts")).status_code == 200
        assert_problem(await Person(client, "", ada.tokens).get("/posts"), 401)
