"""Public static files."""

from pathlib import Path

from litestar import Router
from litestar.exceptions import InternalServerException
from litestar.static_files import create_static_files_router

from app.auth.jwt_auth import PUBLIC
from app.http.preconditions import ConditionalReads
from app.http.problems import not_found


def public_files(path: str, folder: str | Path, name: str, opt: dict[str, str]) -> Router:
    """Return a router that serves a folder's files below a path, without authentication."""
    return create_static_files_router(
        path,
        directories=[folder],
        opt=PUBLIC | opt,
        middleware=[ConditionalReads],
        include_in_schema=False,
        name=name,
        # A name that contains NUL or is thousands of characters long raises: no such file exists.
        exception_handlers={ValueError: not_found, InternalServerException: not_found},
    )
