"""`/`: a page to read and write one's posts on, and the files it is made of."""

from pathlib import Path

from litestar import MediaType, get
from litestar.exceptions import InternalServerException
from litestar.response import File
from litestar.static_files import create_static_files_router

from app.not_modified import NotModifiedMiddleware
from app.problems import not_found

_FILES = Path(__file__).parent / "static"
_PUBLIC = {"exclude_from_auth": True}


@get("/", include_in_schema=False, opt=_PUBLIC, middleware=[NotModifiedMiddleware])
async def page() -> File:
    """Answer `GET /`."""
    return File(_FILES / "index.html", content_disposition_type="inline", media_type=MediaType.HTML)


page_files = create_static_files_router(
    "/static",
    directories=[_FILES],
    opt=_PUBLIC,
    middleware=[NotModifiedMiddleware],
    include_in_schema=False,
    name="page-files",
    # No file has a name with NUL in it, or one of thousands of characters, and asking for it is an error.
    exception_handlers={ValueError: not_found, InternalServerException: not_found},
)
