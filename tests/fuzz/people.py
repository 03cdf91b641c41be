"""Who the fuzzer is to the service."""

import json
from typing import Any
from uuid import uuid4

import httpx
import schemathesis
from schemathesis import AuthContext, Case, SerializationContext

# Requests that end the session or the account they come from.
LAST_REQUESTS = ["logOut", "endAllSessions", "changePassword", "eraseMe", "eraseMeByPost"]


@schemathesis.serializer("application/x-ndjson")
def lines(_: SerializationContext, body: Any) -> bytes:
    # What breaks the schema is no text.
    text = body if isinstance(body, str) else json.dumps(body)
    return text.encode(errors="surrogatepass")


class Person:
    def __init__(self) -> None:
        # The password is the one in the document's examples, so that those are taken.
        self.form = {"email": f"{uuid4()}@example.com", "password": "correct horse battery"}

    def enter(self, case: Case[Any], path: str) -> str:
        url = f"{(case.operation.base_url or '').rstrip('/')}{path}"
        token: str = httpx.post(url, json=self.form).raise_for_status().json()["access_token"]
        return token


class Bearer:
    def set(self, case: Case[Any], data: str, _: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth().skip_for(operation_id=LAST_REQUESTS)
class Resident(Bearer):
    """The same person throughout, so that one request finds what another made; who logs in anew where it has to."""

    def __init__(self) -> None:
        self.person: Person | None = None

    def get(self, case: Case[Any], _: AuthContext) -> str:
        if self.person is not None:
            return self.person.enter(case, "/auth/login")
        self.person = Person()
        return self.person.enter(case, "/auth/signup")


@schemathesis.auth(refresh_interval=None).apply_to(operation_id=LAST_REQUESTS)
class Passerby(Bearer):
    """Somebody new for each request."""

    def get(self, case: Case[Any], _: AuthContext) -> str:
        return Person().enter(case, "/auth/signup")
