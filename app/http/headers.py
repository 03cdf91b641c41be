"""Reads request headers from the ASGI scope, which is quicker than through Litestar's mapping."""

from litestar.types import Scope


def header(scope: Scope, name: str) -> str | None:
    """Return the first header with this name (in lower case), or `None`."""
    wanted = name.encode()
    for found, value in scope["headers"]:
        if found == wanted:
            return value.decode("latin-1")
    return None


def joined_header(scope: Scope, name: str) -> str | None:
    """Return a list header, joined if it was sent in several lines, or `None`."""
    wanted = name.encode()
    lines = [value for found, value in scope["headers"] if found == wanted]
    return b", ".join(lines).decode("latin-1") if lines else None
