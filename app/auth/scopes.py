"""What a personal token may do: each route names the scope it needs in its `opt`, and one that names none is closed."""

from collections.abc import Collection, Mapping
from typing import Any

from app.errors import InsufficientScope
from models import Scope

_KEY = "personal_token_scope"
_ANY = "any"

READS_POSTS: dict[str, Scope] = {_KEY: "posts:read"}
WRITES_POSTS: dict[str, Scope] = {_KEY: "posts:write"}
WEBHOOKS: dict[str, Scope] = {_KEY: "webhooks"}

ANY_SCOPE = {_KEY: _ANY}
"""The `opt` of a handler that any personal token opens, whatever its scopes are."""


def required_scope(opt: Mapping[str, Any]) -> str | None:
    """Return the scope that a personal token needs for a handler with these options: empty if it needs none.

    It is `None` if no personal token opens the route.
    """
    scope: str | None = opt.get(_KEY)
    return "" if scope == _ANY else scope


def require_scope(opt: Mapping[str, Any], granted: Collection[str]) -> None:
    """Raise `InsufficientScope` unless a personal token with these scopes opens a handler with these options."""
    scope = required_scope(opt)
    if scope is None or (scope and scope not in granted):
        raise InsufficientScope(scope)
