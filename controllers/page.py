"""`/`: the page on which people read and write their posts, with its static files."""

from litestar import MediaType, Response, get
from litestar.di import NamedDependency

from app.auth.jwt_auth import PUBLIC
from app.http.preconditions import ConditionalReads
from app.http.response_headers import PAGE
from app.settings import Settings
from controllers.files import public_files
from controllers.page_version import FILES, page_of, version_of


@get("/", include_in_schema=False, opt=PUBLIC | PAGE, middleware=[ConditionalReads])
async def page(settings: NamedDependency[Settings]) -> Response[bytes]:
    """Answer `GET /`. The tag names the version of all files, so that the service worker knows whether it has them."""
    html = page_of(settings)
    return Response(html, media_type=MediaType.HTML, headers={"ETag": f'"{version_of(html)}"'})


page_files = public_files("/static", FILES, "page-files", PAGE)
