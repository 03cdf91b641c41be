"""`/`: the page on which people read and write their posts, with its static files."""

from pathlib import Path

from litestar import MediaType, get
from litestar.response import File

from app.http.not_modified import NotModifiedMiddleware
from app.http.response_headers import PAGE
from controllers.files import PUBLIC, public_files

_FILES = Path(__file__).parent / "static"


@get("/", include_in_schema=False, opt=PUBLIC | PAGE, middleware=[NotModifiedMiddleware])
async def page() -> File:
    """Answer `GET /`."""
    return File(_FILES / "index.html", content_disposition_type="inline", media_type=MediaType.HTML)


page_files = public_files("/static", _FILES, "page-files", PAGE)
