"""`/service-worker.js`: the script that keeps the page's files in the browser, so that it opens without a network."""

from hashlib import sha256

from litestar import Response, get
from litestar.di import NamedDependency

from app.auth.jwt_auth import PUBLIC
from app.http.preconditions import ConditionalReads
from app.http.response_headers import PAGE
from app.settings import Settings
from controllers.page_version import FILES, SERVICE_WORKER, digests_of, page_of, version_of


@get(f"/{SERVICE_WORKER}", include_in_schema=False, opt=PUBLIC | PAGE, middleware=[ConditionalReads])
async def service_worker(settings: NamedDependency[Settings]) -> Response[bytes]:
    """Answer `GET /service-worker.js`, at whose level the page is, because a service worker answers for no other.

    It begins with the digests of all files, so that a browser installs it anew when one of them changes.
    """
    page = page_of(settings)
    digests = f'const VERSION = "{version_of(page)}";\nconst FILES = {digests_of(page)};\n\n'
    script = digests.encode() + (FILES / SERVICE_WORKER).read_bytes()
    tag = f'"{sha256(script).hexdigest()[:32]}"'
    return Response(script, media_type="text/javascript", headers={"ETag": tag})
