"""A request's headers, read where they are, which is quicker than to make Litestar's mapping of them."""

from litestar.types import Scope


def header(scope: Scope, name: str) -> str | None:
    """Return the first header of that name, which is given in lower case, or `None`."""
    wanted = name.encode()
    for found, value in scope["headers"]:
        if found == wanted:
            return value.decode("latin-1")
    return None


def joined_header(scope: Scope, name: str) -> str | None:
    """Return the headers of that name as one, which may be sent in several lines where it is a list, or `None`."""
    wanted = name.encode()
    lines = [value for found, value in scope["headers"] if found == wanted]
    return b", ".join(lines).decode("latin-1") if lines else None
