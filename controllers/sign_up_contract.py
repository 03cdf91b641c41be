"""What the OpenAPI document says of sign-up where it is not open to everybody."""

from typing import Any

from app.errors import SignUpClosed
from app.http.problems import problem_type
from models import SignUpPolicy

_INVITE = "jbsw23dfmvzxs33smqqhg5dboruw63rb"


def describe_sign_up(document: dict[str, Any], policy: SignUpPolicy) -> None:
    """Change the document of an open service so that it says what this one asks for, or that it takes nobody."""
    operation = document["paths"]["/auth/signup"]["post"]
    if policy is SignUpPolicy.INVITE:
        operation["description"] += " This service asks for an `invite`: the code of an invitation, which is good once."
        form = document["components"]["schemas"]["SignUp"]
        form["required"] = [*form["required"], "invite"]
        form["properties"]["invite"] = {
            "type": "string",
            "maxLength": 128,
            "pattern": form["properties"]["invite"]["anyOf"][0]["pattern"],
            "description": "The code of an invitation.",
        }
        media = operation["requestBody"]["content"]["application/json"]
        media["example"] = media["example"] | {"invite": _INVITE}
    if policy is SignUpPolicy.CLOSED:
        operation["description"] = "This service takes no new accounts: sign-up is refused with 403, `sign-up-closed`."
        (content,) = operation["responses"]["403"]["content"].values()
        content["example"] |= {
            "type": problem_type(SignUpClosed),
            "title": SignUpClosed.title,
            "detail": str(SignUpClosed()),
        }
